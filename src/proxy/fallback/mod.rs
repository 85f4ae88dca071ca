//! The fallback server: answers 503 on sockets whose own server does not run.

mod server;
mod shared_listener;

pub(super) use server::FallbackServer;
