//! Which requests can be forwarded at all.

use hyper::header::{HOST, HeaderMap, TRANSFER_ENCODING};
use hyper::http::request;
use hyper::http::uri::Authority;
use hyper::{Method, Version};

/// Maximum size of a message's head, in bytes. Also the maximum size of the buffer for a body.
pub(in crate::proxy) const MAX_HEAD_BYTES: usize = 256 * 1024;
/// Maximum number of headers of a message.
pub(in crate::proxy) const MAX_HEADERS: usize = 1000;

/// Reason to refuse a request without asking the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum InvalidRequest {
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
pub(in crate::proxy) fn validate(head: &request::Parts) -> Result<(), InvalidRequest> {
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
pub(in crate::proxy) fn is_too_large(headers: &HeaderMap) -> bool {
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
