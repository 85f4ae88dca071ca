//! Accepts, serves, drains.

use std::sync::Arc;

use super::error::Error;
use super::event::Event;
use super::options::Options;
use super::upstream::{Report, Upstream};

/// A running front.
#[derive(Debug)]
pub struct Front {}

/// Tells a running front what serves. Cheap to clone; never blocks.
#[derive(Debug, Clone)]
pub struct Handle {}

impl Handle {
    /// What serves new requests from now on. A generation that served before is drained: see [`Event::Drained`].
    pub fn publish(&self, upstream: Upstream) {
        let _ = upstream;
    }

    /// Closes the gate: new requests wait, the serving generation is drained. For generations that take turns.
    pub fn hold(&self) {}

    /// The old generation serves on because this one failed: HTML pages show a banner. `None` takes it away.
    pub fn banner(&self, report: Option<Arc<Report>>) {
        let _ = report;
    }

    /// Ends event streams and upgraded connections of this generation (close code 1012 for WebSockets), so that they
    /// come back to new code.
    pub fn release_streams(&self, generation: u64) {
        let _ = generation;
    }

    /// Accepts on these sockets and answers 503 with the report, until [`Handle::answer_no_more`].
    pub fn answer_on(&self, sockets: Vec<std::net::TcpListener>, report: Arc<Report>) {
        let _ = (sockets, report);
    }

    /// Stops accepting on the sockets of [`Handle::answer_on`]; returns once none of them is being accepted on.
    pub async fn answer_no_more(&self) {}
}

impl Front {
    /// Opens the port and begins to serve. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Bind`] if an address is in use or not allowed.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let _ = options;
        Ok(Self {})
    }

    /// A handle to tell it things.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle {}
    }

    /// Waits for the next event; `None` once it has ended. Cancel-safe.
    pub async fn next_event(&mut self) -> Option<Event> {
        std::future::pending().await
    }

    /// Stops accepting, ends what is in flight, and returns once the last connection is closed.
    pub async fn stop(self) {}
}
