//! What serves, as told by the session.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Why a generation does not serve: what the page shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FailureReport {
    /// The generation it is about.
    pub generation: u64,
    /// One line: `exited with status 1 after 0.31 s`, `the build failed with status 101`.
    pub headline: String,
    /// The command, as typed.
    pub command: String,
    /// What changed, relative to the working directory.
    pub changed: Vec<String>,
    /// The last of its output, raw bytes with ANSI escapes.
    pub output: Vec<u8>,
    /// How long it ran.
    pub ran: Duration,
}

/// What serves new requests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Upstream {
    /// Nothing yet: requests wait.
    #[default]
    Starting,
    /// This generation, at this address.
    Ready {
        /// Which generation.
        generation: u64,
        /// Where.
        address: SocketAddr,
    },
    /// Nothing, until the next change: requests are answered 503 with the report, those held included.
    Down(Arc<FailureReport>),
}
