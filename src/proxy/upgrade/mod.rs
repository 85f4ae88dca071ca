//! Upgraded connections: WebSockets and other protocols that take over an HTTP connection.

mod tunnel;
mod websocket;

pub(super) use tunnel::{Protocol, Tunnel};
