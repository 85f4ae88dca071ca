//! What the head of a message means to a proxy. Pure.
//!
//! hyper parses and writes the framing of messages (lengths and chunks), so that no request can be smuggled
//! in another.

mod fields;
mod push;
mod request;
mod response;

pub(super) use fields::{has_body, has_token, is_navigation, may_get_script, media_type, text};
pub(super) use push::{PushTransport, is_endless};
pub(super) use request::{
    Forwarding, InvalidRequest, MAX_HEAD_BYTES, MAX_HEADERS, is_loop, is_too_large, request_headers,
    request_target, requested_upgrade, validate,
};
pub(super) use response::{
    has_unknown_coding, interim_response, is_chunked, rewrite_own_urls, strip_hop_by_hop,
};
