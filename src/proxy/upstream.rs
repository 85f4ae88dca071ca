//! What serves behind the proxy, as its owner publishes it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::GenerationId;

/// State of the server behind the proxy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Upstream {
    /// No generation is ready: requests wait.
    #[default]
    Starting,
    /// A generation serves.
    Ready {
        /// The generation.
        generation: GenerationId,
        /// Its address.
        address: SocketAddr,
    },
    /// No generation serves until the next change: all requests, waiting ones included, are answered 503 with
    /// the report.
    Down(Arc<FailureReport>),
}

/// Reason why a generation does not serve, as the error page shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureReport {
    /// The failed generation.
    pub generation: GenerationId,
    /// One line: `exited with status 1 after 0.31 s`, `the build failed with status 101`.
    pub headline: String,
    /// The command, as typed.
    pub command: String,
    /// Paths of the changes that caused the restart, relative to the working directory.
    pub changed: Vec<String>,
    /// Last part of the output: raw bytes with ANSI escape sequences.
    pub output: Vec<u8>,
    /// Time for which the generation ran.
    pub ran: Duration,
}

impl Default for FailureReport {
    fn default() -> Self {
        Self {
            generation: GenerationId::FIRST,
            headline: String::new(),
            command: String::new(),
            changed: Vec::new(),
            output: Vec::new(),
            ran: Duration::ZERO,
        }
    }
}
