//! What the head of a message means to a proxy. Pure.
//!
//! hyper parses and writes the framing of messages (lengths and chunks), so that no request can be smuggled
//! in another.

mod classify;
mod connection_header;
mod incoming;
mod outgoing;
mod own_urls;
mod push;
mod validate;

pub(super) use classify::{has_body, is_fetch, is_navigation, may_get_script, media_type, text};
pub(super) use connection_header::closes_connection;
pub(super) use incoming::{interim_response, is_chunked, strip_hop_by_hop};
pub(super) use outgoing::{Forwarding, is_loop, request_headers, request_target, requested_upgrade};
pub(super) use own_urls::rewrite_own_urls;
pub(super) use push::{PushTransport, is_endless};
pub(super) use validate::{InvalidRequest, MAX_HEAD_BYTES, MAX_HEADERS, is_too_large, validate};
