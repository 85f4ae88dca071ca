//! The head of an upstream's response as the client gets it.

use hyper::StatusCode;
use hyper::header::{CONTENT_LENGTH, HeaderMap, HeaderName, TRANSFER_ENCODING};

use super::connection_header::{
    HOP_BY_HOP, connection_names, connection_names_others, is_hop_by_hop, tokens,
};

/// A response has a transfer coding other than `chunked`, so it cannot be forwarded.
#[derive(Debug)]
pub(in crate::proxy) struct UnknownCoding;

/// The transfer codings of a response. `identity`, which RFC 2616 had, is none.
fn codings(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let codings = headers.get_all(TRANSFER_ENCODING).iter().flat_map(tokens);
    codings.filter(|coding| !coding.eq_ignore_ascii_case(b"identity"))
}

/// Whether the body of a response ends with its last chunk.
pub(in crate::proxy) fn is_chunked(headers: &HeaderMap) -> bool {
    codings(headers).any(|coding| coding.eq_ignore_ascii_case(b"chunked"))
}

/// Removes the headers of the upstream's connection from a response.
pub(in crate::proxy) fn strip_hop_by_hop(headers: &mut HeaderMap) -> Result<(), UnknownCoding> {
    // hyper decodes `chunked` once.
    let has_unknown_coding = codings(headers)
        .enumerate()
        .any(|(index, coding)| index > 0 || !coding.eq_ignore_ascii_case(b"chunked"));
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    if connection_names_others(headers) {
        let named: Vec<HeaderName> =
            headers.keys().filter(|name| connection_names(headers, name.as_str())).cloned().collect();
        for name in named {
            headers.remove(name);
        }
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    if has_unknown_coding { Err(UnknownCoding) } else { Ok(()) }
}

/// The bytes of an interim response (1xx) for the client.
pub(in crate::proxy) fn interim_response(status: StatusCode, headers: &HeaderMap) -> Vec<u8> {
    let reason = status.canonical_reason().unwrap_or_default();
    let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).into_bytes();
    for (name, value) in headers {
        if is_hop_by_hop(name) || *name == CONTENT_LENGTH || connection_names(headers, name.as_str()) {
            continue;
        }
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}
