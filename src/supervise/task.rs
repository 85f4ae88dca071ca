//! The one loop of the room: select -> input -> step -> perform.

use super::error::Error;
use super::event::{Event, Exit, Request};
use super::options::Options;

/// A running supervisor.
#[derive(Debug)]
pub struct Supervisor {}

/// Tells a running supervisor what to do. Cheap to clone; never blocks; does nothing once it has ended.
#[derive(Debug, Clone)]
pub struct Handle {}

impl Handle {
    /// Sends a request.
    pub fn send(&self, request: Request) {
        let _ = request;
    }
}

impl Supervisor {
    /// Opens the sockets and starts the first generation (unless postponed). Must be called in a tokio runtime.
    ///
    /// # Errors
    /// [`Error`] if a socket cannot be opened or the process cannot be prepared.
    pub fn start(options: Options) -> Result<Self, Error> {
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
        std::future::pending().await
    }

    /// The sockets that somebody may answer on while no generation lives, duplicated.
    #[must_use]
    pub fn answering_sockets(&self) -> Vec<std::net::TcpListener> {
        Vec::new()
    }

    /// Stops gently and returns once the last process of the tree is gone.
    pub async fn stop(self) -> Exit {
        Exit::Asked
    }
}
