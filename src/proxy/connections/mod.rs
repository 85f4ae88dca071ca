//! TCP connections to both sides: the client's, and a fresh one to the upstream for each request.

mod client;
mod upstream;

pub(super) use client::{BusyGuard, ClientConnection, ClientStream, ConnectionSlots};
pub(super) use upstream::{ConnectionTask, UpstreamStream, connect, is_listening, is_local_shortage};
