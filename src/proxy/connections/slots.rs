//! The limit of client connections.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Delay before an idle connection is asked to close for a new one.
const CLOSE_REQUEST_DELAY: Duration = Duration::from_millis(1);

/// Number of file descriptors kept for everything but clients and their upstream connections.
const RESERVED_DESCRIPTORS: u64 = 64;

/// Slots for client connections. At the limit, idle connections are asked to close.
#[derive(Debug)]
pub(in crate::proxy) struct ConnectionSlots {
    free: Arc<Semaphore>,
    close_requests: Notify,
}

impl ConnectionSlots {
    /// `limit` connections at most, or as many as there are descriptors for. Each of the `listeners` holds a
    /// slot while it waits for a client.
    pub(in crate::proxy) fn new(limit: usize, listeners: usize) -> Self {
        let slots = limit.min(max_affordable()).saturating_add(listeners).clamp(1, Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(slots)), close_requests: Notify::new() }
    }

    /// Waits for a free slot, and asks idle connections to close meanwhile.
    pub(in crate::proxy) async fn acquire(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            let slot = Arc::clone(&self.free).acquire_owned();
            if let Ok(slot) = tokio::time::timeout(CLOSE_REQUEST_DELAY, slot).await {
                return slot.ok();
            }
            self.request_close();
        }
    }

    /// Asks the connection that has waited longest to close, if it is idle.
    pub(in crate::proxy) fn request_close(&self) {
        self.close_requests.notify_one();
    }

    /// Waits until this connection is asked to close.
    pub(in crate::proxy) async fn close_requested(&self) {
        self.close_requests.notified().await;
    }
}

/// Maximum number of clients for which there are descriptors: one for the client and one for the upstream
/// each.
fn max_affordable() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let clients = |limit: u64| limit.saturating_sub(RESERVED_DESCRIPTORS.min(limit / 2)) / 2;
    limit.map_or(usize::MAX, |limit| usize::try_from(clients(limit)).unwrap_or(usize::MAX))
}
