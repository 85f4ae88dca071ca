//! The head of a request as the upstream gets it.

use std::net::IpAddr;

use hyper::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, TE, TRANSFER_ENCODING, UPGRADE, VIA,
};
use hyper::http::request;
use hyper::http::uri::PathAndQuery;
use hyper::{Uri, Version};

use super::connection_header::{connection_names, connection_names_others, has_token, is_hop_by_hop};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// How a request is forwarded.
pub(in crate::proxy) struct Forwarding<'a> {
    /// Address of the client; `None` if the upstream is not told where the request came from.
    pub(in crate::proxy) peer: Option<IpAddr>,
    /// The proxy's own value of `Via`.
    pub(in crate::proxy) via: &'a HeaderValue,
    /// Protocol to which the client wants to upgrade.
    pub(in crate::proxy) upgrade: Option<&'a HeaderValue>,
    /// The body's length is unknown.
    pub(in crate::proxy) is_chunked: bool,
    /// The response may get the script of live reload, so it must be complete and without a content coding.
    pub(in crate::proxy) may_get_script: bool,
}

/// The headers of a request for the upstream: the client's end-to-end headers, and the addresses that the
/// request came from.
pub(in crate::proxy) fn request_headers(head: &request::Parts, forwarding: &Forwarding<'_>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(head.headers.len() + 8);
    let names_others = connection_names_others(&head.headers);
    for (name, value) in &head.headers {
        let is_named = names_others && *name != HOST && connection_names(&head.headers, name.as_str());
        if !is_hop_by_hop(name) && !is_named {
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
    let accepts_trailers = has_token(head.headers.get_all(TE).iter(), "trailers");
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
pub(in crate::proxy) fn request_target(uri: &Uri) -> Uri {
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
pub(in crate::proxy) fn requested_upgrade(head: &request::Parts) -> Option<&HeaderValue> {
    let is_requested = head.version == Version::HTTP_11 && connection_names(&head.headers, "upgrade");
    let is_http2 = has_token(head.headers.get_all(UPGRADE).iter(), "h2c");
    head.headers.get(UPGRADE).filter(|_| is_requested && !is_http2)
}

/// Whether a request has passed this proxy before.
pub(in crate::proxy) fn is_loop(headers: &HeaderMap, via: &HeaderValue) -> bool {
    let own = via.as_bytes();
    headers
        .get_all(VIA)
        .iter()
        .any(|line| line.as_bytes().split(|byte| *byte == b',').any(|hop| hop.trim_ascii() == own))
}
