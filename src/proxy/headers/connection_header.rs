//! The `Connection` header and the headers that belong to one connection only (RFC 9110, 7.6.1).

use hyper::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Headers that never pass a proxy.
pub(super) const HOP_BY_HOP: [HeaderName; 6] =
    [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE];

/// Whether [`HOP_BY_HOP`] has this header.
pub(super) fn is_hop_by_hop(name: &HeaderName) -> bool {
    *name == CONNECTION
        || *name == KEEP_ALIVE
        || *name == PROXY_CONNECTION
        || *name == TE
        || *name == TRANSFER_ENCODING
        || *name == UPGRADE
}

/// Whether a message is the last one on its connection.
pub(in crate::proxy) fn closes_connection(headers: &HeaderMap) -> bool {
    connection_names(headers, "close")
}

/// Whether `Connection` names this header or option.
pub(super) fn connection_names(headers: &HeaderMap, name: &str) -> bool {
    has_token(headers.get_all(CONNECTION).iter(), name)
}

/// Whether `Connection` names a header that [`HOP_BY_HOP`] lacks, which is rare.
pub(super) fn connection_names_others(headers: &HeaderMap) -> bool {
    headers.get_all(CONNECTION).iter().flat_map(tokens).any(|token| {
        let usual: [&[u8]; 4] = [b"close", b"keep-alive", b"upgrade", b"te"];
        !usual.iter().any(|usual| token.eq_ignore_ascii_case(usual))
    })
}

/// Whether one of the comma-separated values contains this token.
pub(super) fn has_token<'a>(mut values: impl Iterator<Item = &'a HeaderValue>, token: &str) -> bool {
    values.any(|value| tokens(value).any(|found| found.eq_ignore_ascii_case(token.as_bytes())))
}

/// The parts of a comma-separated value.
pub(super) fn tokens(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}
