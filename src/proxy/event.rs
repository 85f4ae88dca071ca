//! Events that the proxy sends to its owner, and the sending side of their two queues.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::{GenerationId, Remedy};

/// Event of a running proxy.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// The proxy accepts connections.
    Listening {
        /// Bound addresses, with real port numbers where the options say 0.
        addresses: Vec<SocketAddr>,
    },
    /// A generation that drains has responses in flight for which the drain waits. Sent at once and then about
    /// every second.
    InFlight {
        /// The generation.
        generation: GenerationId,
        /// Number of responses in flight, without endless streams, long polls and upgraded connections.
        responses: usize,
        /// Number of bytes of their bodies sent so far.
        bytes: u64,
        /// Request line of the oldest response, such as `GET /api/tender/1/download`.
        oldest: String,
        /// Age of the oldest response.
        since: Duration,
    },
    /// A generation that gets no new requests has nothing in flight any more. Sent once per generation.
    Drained {
        /// The generation.
        generation: GenerationId,
    },
    /// Requests wait for a generation. Sent for the first one, each time the number has doubled, and with 0
    /// at the end.
    Held {
        /// Number of waiting requests.
        requests: usize,
    },
    /// devrun answered a request itself. Dropped if the owner reads events more slowly than they are sent.
    Answered {
        /// HTTP status: 500, 502, 503 or 504, or 4xx for a refused request.
        status: u16,
        /// Request line, such as `GET /`.
        request: String,
        /// Reason, with its chain of causes.
        detail: String,
        /// What the user can do about it.
        remedy: Remedy,
    },
}

/// Maximum number of unread events that may be dropped.
const MAX_LOSSY_EVENTS: usize = 256;

/// Sends events to the owner of the proxy and never waits for the owner.
#[derive(Debug, Clone)]
pub(super) struct EventSender {
    /// Events that the owner must get. There are a few per generation, so the queue needs no bound.
    reliable: mpsc::UnboundedSender<Event>,
    /// Events that clients can cause in any number.
    lossy: mpsc::Sender<Event>,
}

impl EventSender {
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Event>, mpsc::Receiver<Event>) {
        let (reliable, reliable_receiver) = mpsc::unbounded_channel();
        let (lossy, lossy_receiver) = mpsc::channel(MAX_LOSSY_EVENTS);
        (Self { reliable, lossy }, reliable_receiver, lossy_receiver)
    }

    /// Sends an event that the owner must get.
    pub(super) fn send(&self, event: Event) {
        let _ = self.reliable.send(event);
    }

    /// Sends an event, or drops it while the owner is behind.
    pub(super) fn send_lossy(&self, event: Event) {
        let _ = self.lossy.try_send(event);
    }
}
