//! What the proxy tells its owner.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::mpsc;

/// What the proxy tells its owner.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// It accepts connections.
    Listening {
        /// Where; the ports are real ones, even where 0 was asked for.
        addresses: Vec<SocketAddr>,
    },
    /// A generation that no longer gets new requests has this much in flight: sent at once, then about every second.
    InFlight {
        /// Which generation.
        generation: u64,
        /// Responses that still go on (event streams and upgraded connections do not count).
        responses: usize,
        /// Bytes of them sent so far.
        bytes: u64,
        /// The oldest of them: `GET /api/tender/1/download`.
        oldest: String,
        /// How long it has been going on.
        since: Duration,
    },
    /// A generation that no longer gets new requests has nothing in flight any more. Sent once per generation.
    Drained {
        /// Which generation.
        generation: u64,
    },
    /// Requests are waiting for a generation to become ready: told of the first, then each time they have doubled, and of
    /// the end with 0.
    Held {
        /// How many.
        requests: usize,
    },
    /// devrun answered itself. Left out when they come faster than they are read.
    Answered {
        /// 500, 502, 503 or 504; 4xx for what is refused.
        status: u16,
        /// The request: `GET /`.
        request: String,
        /// Why, with the chain of causes.
        detail: String,
    },
}

/// How many events that may be left out are kept for an owner who does not listen.
const NOTES_KEPT: usize = 256;

/// Sends events to the owner and never waits for it.
#[derive(Debug, Clone)]
pub(super) struct Teller {
    /// What the owner must hear; a few per generation, so it need not be bounded.
    matters: mpsc::UnboundedSender<Event>,
    /// What a client can cause any number of; dropped while the owner is behind.
    notes: mpsc::Sender<Event>,
}

/// The owner's side of a [`Teller`].
#[derive(Debug)]
pub(super) struct Listener {
    matters: mpsc::UnboundedReceiver<Event>,
    notes: mpsc::Receiver<Event>,
}

impl Teller {
    pub(super) fn new() -> (Self, Listener) {
        let (matters, heard) = mpsc::unbounded_channel();
        let (notes, noted) = mpsc::channel(NOTES_KEPT);
        (Self { matters, notes }, Listener { matters: heard, notes: noted })
    }

    /// Tells something that must be heard.
    pub(super) fn tell(&self, event: Event) {
        let _ = self.matters.send(event);
    }

    /// Tells something that may be left out while the owner is behind.
    pub(super) fn note(&self, event: Event) {
        let _ = self.notes.try_send(event);
    }
}

impl Listener {
    /// The next event, what matters first. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Event> {
        tokio::select! {
            biased;
            Some(event) = self.matters.recv() => Some(event),
            Some(event) = self.notes.recv() => Some(event),
            else => None,
        }
    }
}
