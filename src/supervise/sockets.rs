//! Listening sockets: bound once, handed to every generation. Never accepts.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Where a socket listens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Endpoint {
    /// TCP.
    Tcp(SocketAddr),
    /// UDP.
    Udp(SocketAddr),
    /// A Unix stream socket at this path.
    Unix(PathBuf),
}

/// A socket to open and hand over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Its name in `LISTEN_FDNAMES`; `None`: `unknown`, as systemd says.
    pub name: Option<String>,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// Whether somebody answers 503 on it while no generation lives (HTTP); the `tcp:` prefix turns it off.
    pub answer: bool,
}
