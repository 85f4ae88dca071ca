//! What kind of request or response a message is, by its head.

use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, StatusCode};

/// Whether a browser shows the response as a page, so that an error may be a page too.
pub(in crate::proxy) fn is_navigation(headers: &HeaderMap) -> bool {
    match text(headers, "sec-fetch-dest") {
        Some(destination) => matches!(destination, "document" | "iframe" | "frame"),
        None => headers.get_all(ACCEPT).iter().any(lists_html),
    }
}

fn lists_html(accept: &HeaderValue) -> bool {
    let mut kinds = accept.to_str().unwrap_or_default().split(',');
    kinds.any(|kind| kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/html")))
}

/// Whether a script of a page sent the request, with `fetch` or `XMLHttpRequest`.
pub(in crate::proxy) fn is_fetch(headers: &HeaderMap) -> bool {
    text(headers, "sec-fetch-dest") == Some("empty")
}

/// Whether the response may get the script of live reload: a browser shows it as a page, and no script of a
/// page puts it into another one.
pub(in crate::proxy) fn may_get_script(headers: &HeaderMap) -> bool {
    let is_xhr =
        text(headers, "x-requested-with").is_some_and(|with| with.eq_ignore_ascii_case("xmlhttprequest"));
    is_navigation(headers) && !is_xhr && !headers.contains_key("hx-request")
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
