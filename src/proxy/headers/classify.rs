//! What kind of request or response a message is, by its head.

use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use hyper::{Method, StatusCode};

/// Whether a browser shows the response as a page, so that an error may be a page too.
pub(in crate::proxy) fn is_navigation(headers: &HeaderMap) -> bool {
    match text(headers, "sec-fetch-dest") {
        Some(destination) => matches!(destination, "document" | "iframe" | "frame"),
        None => headers.get_all(ACCEPT).iter().any(|accept| {
            accept.to_str().is_ok_and(|accept| accept.to_ascii_lowercase().contains("text/html"))
        }),
    }
}

/// Whether a script of a page sent the request, with `fetch` or `XMLHttpRequest`.
pub(in crate::proxy) fn is_fetch(headers: &HeaderMap) -> bool {
    text(headers, "sec-fetch-dest") == Some("empty")
}

/// Whether the response may become a part of another page, so that no script is appended to it.
pub(in crate::proxy) fn is_fragment(headers: &HeaderMap) -> bool {
    let is_subresource = text(headers, "sec-fetch-dest").is_some_and(|destination| destination != "document");
    let is_xhr =
        text(headers, "x-requested-with").is_some_and(|with| with.eq_ignore_ascii_case("xmlhttprequest"));
    let accepts_no_text = text(headers, ACCEPT.as_str())
        .is_some_and(|accept| !accept.contains("text/") && !accept.contains("*/*"));
    is_subresource || is_xhr || accepts_no_text || headers.contains_key("hx-request")
}

/// Whether a response has a body (RFC 9112, 6.3).
pub(in crate::proxy) fn has_body(method: &Method, status: StatusCode) -> bool {
    *method != Method::HEAD
        && !status.is_informational()
        && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// The media type without its parameters; empty if there is none.
pub(in crate::proxy) fn media_type(headers: &HeaderMap) -> &str {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim()
}

/// The value of a header, if it is ASCII text.
pub(in crate::proxy) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
