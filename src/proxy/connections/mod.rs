//! TCP connections to both sides: the client's, and a fresh one to the upstream for each request.

mod connect;
mod downstream;
mod slots;
mod upstream_stream;

pub(super) use connect::{connect, is_listening, is_local_shortage};
pub(super) use downstream::{BusyGuard, ClientConnection, ClientStream};
pub(super) use slots::ConnectionSlots;
pub(super) use upstream_stream::{ConnectionTask, UpstreamStream};
