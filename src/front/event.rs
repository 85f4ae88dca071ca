//! What the front tells its owner.

use std::net::SocketAddr;
use std::time::Duration;

/// What the front tells its owner.
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
    /// Requests are waiting for a generation to become ready.
    Held {
        /// How many.
        requests: usize,
    },
    /// devrun answered itself.
    Answered {
        /// 500, 502, 503 or 504.
        status: u16,
        /// The request: `GET /`.
        request: String,
        /// Why, with the chain of causes.
        detail: String,
    },
}
