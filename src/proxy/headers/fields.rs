//! Header fields that belong to one connection only (RFC 9110, 7.6.1), and fields that tell the kind of a
//! message.

use hyper::header::{
    ACCEPT, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE,
};
use hyper::{Method, StatusCode};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// The headers of a message that do not pass a proxy: a fixed list, and the headers that `Connection` names.
pub(super) fn hop_by_hop(headers: &HeaderMap) -> Vec<HeaderName> {
    let named = headers.get_all(CONNECTION).iter().flat_map(tokens);
    let named = named.filter_map(|name| HeaderName::from_bytes(name).ok());
    [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE]
        .into_iter()
        .chain(named)
        .collect()
}

/// Whether a header with comma-separated values contains this token.
pub(crate) fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    headers.get_all(name).iter().flat_map(tokens).any(|found| found.eq_ignore_ascii_case(token.as_bytes()))
}

/// The parts of a comma-separated value.
pub(super) fn tokens(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

/// Whether a browser shows the response as a page, so that an error may be a page too.
pub(crate) fn is_navigation(headers: &HeaderMap) -> bool {
    match text(headers, "sec-fetch-dest") {
        Some(destination) => matches!(destination, "document" | "iframe" | "frame"),
        None => headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|accept| accept.to_str().ok())
            .any(|accept| accept.split(',').any(|kind| essence(kind).eq_ignore_ascii_case("text/html"))),
    }
}

/// Whether the response may get the script of live reload: a browser shows it as a page, and no script of a
/// page puts it into another one.
pub(crate) fn may_get_script(headers: &HeaderMap) -> bool {
    let is_xhr =
        text(headers, "x-requested-with").is_some_and(|with| with.eq_ignore_ascii_case("xmlhttprequest"));
    is_navigation(headers) && !is_xhr && !headers.contains_key("hx-request")
}

/// Whether a response has a body (RFC 9112, 6.3).
pub(crate) fn has_body(method: &Method, status: StatusCode) -> bool {
    *method != Method::HEAD
        && !status.is_informational()
        && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// The media type of a message without its parameters; empty if there is none.
pub(crate) fn media_type(headers: &HeaderMap) -> &str {
    essence(text(headers, CONTENT_TYPE.as_str()).unwrap_or_default())
}

/// A media type without its parameters.
pub(super) fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}

/// The value of a header, if it is ASCII text.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
