//! Pure: how long to wait before a child that ends by itself is started again.

use std::time::{Duration, Instant};

/// The first wait; it doubles up to [`LAST`].
const FIRST: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_secs(10);
/// A child that was up this long has its waits forgiven.
const FORGIVEN: Duration = Duration::from_secs(10);

/// The waits between starts.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    at: Option<Instant>,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { next: FIRST, at: None }
    }

    /// It ended after it ran for so long: the wait until it is started again begins.
    pub(super) fn begin(&mut self, ran: Duration, now: Instant) -> Duration {
        let wait = if ran >= FORGIVEN { FIRST } else { self.next };
        self.at = Some(now + wait);
        self.next = (wait * 2).min(LAST);
        wait
    }

    /// When the wait is over, if there is one.
    pub(super) fn at(&self) -> Option<Instant> {
        self.at
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.at.is_some_and(|at| at <= now)
    }

    /// Something else decides when it is started again.
    pub(super) fn cancel(&mut self) {
        self.at = None;
    }
}
