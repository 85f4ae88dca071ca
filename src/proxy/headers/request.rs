//! Heads of requests: which can be forwarded at all, and how the upstream gets them.

use std::net::IpAddr;

use hyper::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, TE, TRANSFER_ENCODING, UPGRADE, VIA,
};
use hyper::http::request;
use hyper::http::uri::{Authority, PathAndQuery};
use hyper::{Method, Uri, Version};

use super::fields::{has_token, hop_by_hop, tokens};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Maximum size of a message's head, in bytes. Also the maximum size of the buffer for a body.
pub(crate) const MAX_HEAD_BYTES: usize = 256 * 1024;
/// Maximum number of headers of a message.
pub(crate) const MAX_HEADERS: usize = 1000;

/// Reason to refuse a request without asking the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvalidRequest {
    /// `CONNECT`: this is no forward proxy.
    Connect,
    /// No `Host`, several, or one that is no host.
    Host,
    /// A target that is neither a path, nor an http URL, nor `*` for `OPTIONS`.
    Target,
    /// A transfer coding other than `chunked`.
    TransferCoding,
    /// A head beyond [`MAX_HEAD_BYTES`].
    TooLarge,
}

/// Checks that a request can be forwarded (RFC 9112, 3.2 and 6.1).
pub(crate) fn validate(head: &request::Parts) -> Result<(), InvalidRequest> {
    if head.method == Method::CONNECT {
        return Err(InvalidRequest::Connect);
    }
    if !has_valid_host(head) {
        return Err(InvalidRequest::Host);
    }
    if !has_valid_target(head) {
        return Err(InvalidRequest::Target);
    }
    if is_too_large(&head.headers) {
        return Err(InvalidRequest::TooLarge);
    }
    let codings = head.headers.get_all(TRANSFER_ENCODING).iter();
    let mut are_chunked = codings.map(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    match (are_chunked.next(), are_chunked.next()) {
        (None | Some(true), None) => Ok(()),
        _ => Err(InvalidRequest::TransferCoding),
    }
}

/// Whether a head is larger than [`MAX_HEAD_BYTES`]. hyper checks that only for heads that arrive in pieces.
pub(crate) fn is_too_large(headers: &HeaderMap) -> bool {
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    size > MAX_HEAD_BYTES
}

fn has_valid_host(head: &request::Parts) -> bool {
    let mut hosts = head.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => {
            host.is_empty()
                || Authority::try_from(host.as_bytes()).is_ok_and(|host| !host.as_str().contains('@'))
        }
        (None, None) => head.version < Version::HTTP_11,
        _ => false,
    }
}

fn has_valid_target(head: &request::Parts) -> bool {
    let uri = &head.uri;
    match uri.scheme_str() {
        Some(scheme) => uri.authority().is_some() && matches!(scheme, "http" | "https"),
        None if uri.authority().is_some() => false,
        None => uri.path().starts_with('/') || (uri.path() == "*" && head.method == Method::OPTIONS),
    }
}

/// How a request is forwarded.
pub(crate) struct Forwarding<'a> {
    /// Address of the client; `None` if the upstream gets no `X-Forwarded-…` headers.
    pub(crate) peer: Option<IpAddr>,
    /// The proxy's own value of `Via`.
    pub(crate) via: &'a HeaderValue,
    /// Protocol to which the client wants to upgrade.
    pub(crate) upgrade: Option<&'a HeaderValue>,
    /// The body's length is unknown.
    pub(crate) is_chunked: bool,
    /// The response may get the script of live reload, so it must be complete and without a content coding.
    pub(crate) may_get_script: bool,
}

/// The headers of a request for the upstream: the client's end-to-end headers, and the addresses that the
/// request came from.
pub(crate) fn request_headers(head: &request::Parts, forwarding: &Forwarding<'_>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(head.headers.len() + 8);
    let hop_by_hop = hop_by_hop(&head.headers);
    for (name, value) in &head.headers {
        if *name == HOST || !hop_by_hop.contains(name) {
            headers.append(name, value.clone());
        }
    }
    if let Some(host) = head.uri.authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok()) {
        headers.insert(HOST, host);
    }
    // HTTP/1.0 clients may leave it out, but HTTP/1.1 servers require it.
    headers.entry(HOST).or_insert(HeaderValue::from_static("localhost"));
    set_connection(&mut headers, head, forwarding);
    if let Some(peer) = forwarding.peer {
        set_origin(&mut headers, peer);
    }
    headers.append(VIA, forwarding.via.clone());
    headers
}

fn set_connection(headers: &mut HeaderMap, head: &request::Parts, forwarding: &Forwarding<'_>) {
    let accepts_trailers = has_token(&head.headers, TE, "trailers");
    let connection = match (forwarding.upgrade, accepts_trailers) {
        (Some(upgrade), _) => {
            headers.insert(UPGRADE, upgrade.clone());
            "Upgrade"
        }
        (None, true) => "close, TE",
        (None, false) => "close",
    };
    if accepts_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    headers.insert(CONNECTION, HeaderValue::from_static(connection));
    if forwarding.is_chunked {
        headers.remove(CONTENT_LENGTH);
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if forwarding.may_get_script {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        // With 304 the browser would show its cached page, whose script tag belongs to older code.
        headers.remove(IF_MODIFIED_SINCE);
        headers.remove(IF_NONE_MATCH);
    }
}

fn set_origin(headers: &mut HeaderMap, peer: IpAddr) {
    let earlier = headers.get_all(FORWARDED_FOR).iter().filter_map(|earlier| earlier.to_str().ok());
    let hops = earlier.map(str::to_owned).chain([peer.to_canonical().to_string()]);
    if let Ok(hops) = HeaderValue::try_from(hops.collect::<Vec<_>>().join(", ")) {
        headers.insert(FORWARDED_FOR, hops);
    }
    // A TLS-terminating proxy in front of this one knows the scheme and the host that the browser used.
    headers.entry(FORWARDED_PROTO).or_insert(HeaderValue::from_static("http"));
    if let Some(host) = headers.get(HOST).cloned() {
        headers.entry(FORWARDED_HOST).or_insert(host);
    }
}

/// The target for the upstream: a path, even if the client sent a URL.
pub(crate) fn request_target(uri: &Uri) -> Uri {
    if uri.scheme().is_none() {
        return uri.clone();
    }
    let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    Uri::from(path)
}

/// Value of `Upgrade`, if `Connection` names it.
///
/// An upgrade to HTTP/2 is dropped, which servers treat as not requested: the proxy could neither hold nor
/// drain the requests of an HTTP/2 connection.
pub(crate) fn requested_upgrade(head: &request::Parts) -> Option<&HeaderValue> {
    let is_requested = head.version == Version::HTTP_11 && has_token(&head.headers, CONNECTION, "upgrade");
    let is_http2 = has_token(&head.headers, UPGRADE, "h2c");
    head.headers.get(UPGRADE).filter(|_| is_requested && !is_http2)
}

/// Whether a request has passed this proxy before.
pub(crate) fn is_loop(headers: &HeaderMap, via: &HeaderValue) -> bool {
    headers.get_all(VIA).iter().flat_map(tokens).any(|hop| hop == via.as_bytes())
}
