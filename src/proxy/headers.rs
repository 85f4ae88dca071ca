//! What the headers of a message mean to a proxy, and which of them go on. Pure.
//!
//! Never touches framing by hand: lengths and chunks are hyper's, so that a request cannot be smuggled in another.

use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName,
    HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, TE, TRANSFER_ENCODING, UPGRADE, VIA,
};
use hyper::http::request;
use hyper::http::uri::{Authority, PathAndQuery};
use hyper::{Method, StatusCode, Uri, Version};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The bound of a message's head, in bytes; also how much of a body is buffered.
pub(super) const HEAD_LIMIT: usize = 64 * 1024;
/// The bound of a message's head, in lines.
pub(super) const HEADER_LIMIT: usize = 256;

/// Why a request is refused whatever the server would say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfit {
    /// `CONNECT`: this is no proxy to elsewhere.
    Tunnel,
    /// No `Host`, several, or one that cannot be a host.
    Host,
    /// A target that is neither a path, nor an http URL, nor `*` for `OPTIONS`.
    Target,
    /// A transfer coding besides `chunked`.
    Coding,
    /// A head beyond [`HEAD_LIMIT`].
    Large,
}

/// Whether a request may be passed on at all (RFC 9112, 3.2 and 6.1).
pub(super) fn check(head: &request::Parts) -> Result<(), Unfit> {
    if head.method == Method::CONNECT {
        return Err(Unfit::Tunnel);
    }
    check_host(head)?;
    check_target(head)?;
    if is_large(&head.headers) {
        return Err(Unfit::Large);
    }
    let codings = head.headers.get_all(TRANSFER_ENCODING).iter();
    let mut codings = codings.map(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    match (codings.next(), codings.next()) {
        (None | Some(true), None) => Ok(()),
        _ => Err(Unfit::Coding),
    }
}

/// Whether a head is beyond the bound. hyper holds to it only where a head comes in pieces.
pub(super) fn is_large(headers: &HeaderMap) -> bool {
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    size > HEAD_LIMIT
}

fn check_host(head: &request::Parts) -> Result<(), Unfit> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.as_bytes(),
        (None, None) if head.version < Version::HTTP_11 => return Ok(()),
        _ => return Err(Unfit::Host),
    };
    let fits = host.is_empty() || Authority::try_from(host).is_ok_and(|host| !host.as_str().contains('@'));
    if fits { Ok(()) } else { Err(Unfit::Host) }
}

fn check_target(head: &request::Parts) -> Result<(), Unfit> {
    let uri = &head.uri;
    let fits = match uri.scheme_str() {
        Some(scheme) => uri.authority().is_some() && matches!(scheme, "http" | "https"),
        None if uri.authority().is_some() => false,
        None => uri.path().starts_with('/') || (uri.path() == "*" && head.method == Method::OPTIONS),
    };
    if fits { Ok(()) } else { Err(Unfit::Target) }
}

/// The target as the server is asked for it: a path, whatever form the client used.
pub(super) fn target(uri: &Uri) -> Uri {
    if uri.scheme().is_none() {
        return uri.clone();
    }
    let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    Uri::from(path)
}

/// What a request asks to become, if it does: the value of `Upgrade`, named by `Connection`. HTTP/2 is left out, which a
/// server takes as if it had not been asked: its requests would pass by unseen, neither held nor drained.
pub(super) fn upgrade(head: &request::Parts) -> Option<&HeaderValue> {
    let asks = head.version == Version::HTTP_11 && names(&head.headers, "upgrade");
    let hidden = has_token(head.headers.get_all(UPGRADE).iter(), "h2c");
    head.headers.get(UPGRADE).filter(|_| asks && !hidden)
}

/// Who passes a request on, and for whom.
pub(super) struct Hop<'a> {
    /// The client's address.
    pub(super) peer: std::net::IpAddr,
    /// devrun's own line in `Via`.
    pub(super) via: &'a HeaderValue,
    /// What the connection is to become.
    pub(super) upgrade: Option<&'a HeaderValue>,
    /// The request has a body of unknown length.
    pub(super) chunked: bool,
    /// The answer must come whole and without a content coding, so that the script can be put in.
    pub(super) page: bool,
}

/// The headers the server gets: the client's, without those of its connection, and with where it came from.
pub(super) fn outgoing(head: &request::Parts, hop: &Hop<'_>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(head.headers.len() + 8);
    let named = names_more(&head.headers);
    for (name, value) in &head.headers {
        let drop = is_hop_by_hop(name) || (named && *name != HOST && names(&head.headers, name.as_str()));
        if !drop {
            headers.append(name, value.clone());
        }
    }
    if let Some(host) = head.uri.authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok()) {
        headers.insert(HOST, host);
    }
    // HTTP/1.0 clients need not say it; HTTP/1.1 servers must be told.
    headers.entry(HOST).or_insert(HeaderValue::from_static("localhost"));
    connect(&mut headers, head, hop);
    trace_back(&mut headers, hop);
    headers
}

fn connect(headers: &mut HeaderMap, head: &request::Parts, hop: &Hop<'_>) {
    let trailers = has_token(head.headers.get_all(TE).iter(), "trailers");
    let connection = match (hop.upgrade, trailers) {
        (Some(upgrade), _) => {
            headers.insert(UPGRADE, upgrade.clone());
            "Upgrade"
        }
        (None, true) => "close, TE",
        (None, false) => "close",
    };
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    headers.insert(CONNECTION, HeaderValue::from_static(connection));
    if hop.chunked {
        headers.remove(CONTENT_LENGTH);
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if hop.page {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        // A page that is "not modified" comes out of the browser's cache with the script's tag of older code.
        headers.remove(IF_MODIFIED_SINCE);
        headers.remove(IF_NONE_MATCH);
    }
}

fn trace_back(headers: &mut HeaderMap, hop: &Hop<'_>) {
    let before = headers.get_all(FORWARDED_FOR).iter().filter_map(|before| before.to_str().ok());
    let peer = before.map(str::to_owned).chain([hop.peer.to_canonical().to_string()]);
    if let Ok(peer) = HeaderValue::try_from(peer.collect::<Vec<_>>().join(", ")) {
        headers.insert(FORWARDED_FOR, peer);
    }
    // A tunnel before devrun knows better whether the browser spoke https, and to which name.
    headers.entry(FORWARDED_PROTO).or_insert(HeaderValue::from_static("http"));
    if let Some(host) = headers.get(HOST).cloned() {
        headers.entry(FORWARDED_HOST).or_insert(host);
    }
    headers.append(VIA, hop.via.clone());
}

/// Whether a request has been here before.
pub(super) fn is_loop(headers: &HeaderMap, via: &HeaderValue) -> bool {
    let own = via.as_bytes();
    headers
        .get_all(VIA)
        .iter()
        .any(|line| line.as_bytes().split(|byte| *byte == b',').any(|hop| hop.trim_ascii() == own))
}

/// Takes the headers of the server's connection out of an answer. Returns whether it named a transfer coding that cannot
/// be passed on.
pub(super) fn strip(headers: &mut HeaderMap) -> bool {
    let unknown = headers
        .get_all(TRANSFER_ENCODING)
        .iter()
        .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    if names_more(headers) {
        let named: Vec<HeaderName> =
            headers.keys().filter(|name| names(headers, name.as_str())).cloned().collect();
        for name in named {
            headers.remove(name);
        }
    }
    for name in [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    unknown
}

/// An interim answer as it goes to the client.
pub(super) fn interim(status: StatusCode, headers: &HeaderMap) -> Vec<u8> {
    let reason = status.canonical_reason().unwrap_or_default();
    let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).into_bytes();
    let kept =
        |name: &HeaderName| !is_hop_by_hop(name) && *name != CONTENT_LENGTH && !names(headers, name.as_str());
    for (name, value) in headers.iter().filter(|(name, _)| kept(name)) {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    *name == CONNECTION
        || *name == KEEP_ALIVE
        || *name == PROXY_CONNECTION
        || *name == TE
        || *name == TRANSFER_ENCODING
        || *name == UPGRADE
}

/// Whether a message is the last one on its connection.
pub(super) fn closes(headers: &HeaderMap) -> bool {
    names(headers, "close")
}

/// Whether `Connection` names this header.
fn names(headers: &HeaderMap, name: &str) -> bool {
    has_token(headers.get_all(CONNECTION).iter(), name)
}

/// Whether `Connection` names anything that is not taken out anyway: it hardly ever does.
fn names_more(headers: &HeaderMap) -> bool {
    headers.get_all(CONNECTION).iter().flat_map(tokens).any(|token| {
        let usual: [&[u8]; 4] = [b"close", b"keep-alive", b"upgrade", b"te"];
        !usual.iter().any(|usual| token.eq_ignore_ascii_case(usual))
    })
}

fn has_token<'a>(mut values: impl Iterator<Item = &'a HeaderValue>, token: &str) -> bool {
    values.any(|value| tokens(value).any(|found| found.eq_ignore_ascii_case(token.as_bytes())))
}

fn tokens(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

/// Whether a browser shows the answer as a page of its own, so that an error may be one too.
pub(super) fn is_navigation(headers: &HeaderMap) -> bool {
    match text(headers, "sec-fetch-dest") {
        Some(destination) => matches!(destination, "document" | "iframe" | "frame"),
        None => headers.get_all(ACCEPT).iter().any(|accept| {
            accept.to_str().is_ok_and(|accept| accept.to_ascii_lowercase().contains("text/html"))
        }),
    }
}

/// Whether a page's script asks, with `fetch` or the like.
pub(super) fn is_fetched(headers: &HeaderMap) -> bool {
    text(headers, "sec-fetch-dest") == Some("empty")
}

/// Whether the answer may become a part of another page: then nothing is put into it.
pub(super) fn is_fragment(headers: &HeaderMap) -> bool {
    let fetched = text(headers, "sec-fetch-dest").is_some_and(|destination| destination != "document");
    let scripted =
        text(headers, "x-requested-with").is_some_and(|with| with.eq_ignore_ascii_case("xmlhttprequest"));
    let refused = text(headers, ACCEPT.as_str())
        .is_some_and(|accept| !accept.contains("text/") && !accept.contains("*/*"));
    fetched || scripted || refused || headers.contains_key("hx-request")
}

/// Whether the client waits for an event stream, as `EventSource` does.
pub(super) fn wants_events(head: &request::Parts) -> bool {
    head.method == Method::GET
        && head.headers.get(ACCEPT).is_some_and(|accept| accept.as_bytes() == b"text/event-stream")
}

/// Whether an answer has no end of its own.
pub(super) fn is_endless(headers: &HeaderMap) -> bool {
    let kind = media_type(headers);
    kind.eq_ignore_ascii_case("text/event-stream") || kind.eq_ignore_ascii_case("multipart/x-mixed-replace")
}

/// The media type without its parameters; empty if there is none.
pub(super) fn media_type(headers: &HeaderMap) -> &str {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim()
}

/// A header's text, if it is there and is text.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
