//! Session: Batch -> Request, Phase -> Upstream, everything -> Event.

use crate::supervise::{Exit, Request};

use super::error::Error;
use super::event::Event;
use super::options::Options;

/// A running session.
#[derive(Debug)]
pub struct Session {}

/// Tells a running session what to do. Cheap to clone; never blocks.
#[derive(Debug, Clone)]
pub struct Handle {}

impl Handle {
    /// Sends a request to the supervisor.
    pub fn send(&self, request: Request) {
        let _ = request;
    }
}

impl Session {
    /// Starts watching, then the front, then the child. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// [`Error`] if one of the rooms cannot begin.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let _ = options;
        Ok(Self {})
    }

    /// A handle to tell it things.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle {}
    }

    /// Waits for the next event; `None` after [`Event::Ended`]. Cancel-safe.
    pub async fn next_event(&mut self) -> Option<Event> {
        None
    }

    /// Stops gently and returns once the last process of the child's tree is gone.
    pub async fn stop(self) -> Exit {
        Exit::Asked
    }
}
