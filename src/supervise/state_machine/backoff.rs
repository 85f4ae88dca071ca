//! The delay before a child that ended by itself is started again. Pure.

use std::time::{Duration, Instant};

/// Delay before the first restart. It doubles up to [`MAX_DELAY`].
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// Maximum delay before a restart.
const MAX_DELAY: Duration = Duration::from_secs(10);
/// Run time of a child after which the delay starts again at [`FIRST_DELAY`].
const RESET_AFTER: Duration = Duration::from_secs(10);

/// Exponential backoff between the restarts of a child that ends by itself.
#[derive(Debug)]
pub(super) struct Backoff {
    next_delay: Duration,
    restart_at: Option<Instant>,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { next_delay: FIRST_DELAY, restart_at: None }
    }

    /// Schedules the restart of a child that ended after it `ran` this long, and returns the delay.
    pub(super) fn schedule(&mut self, ran: Duration, now: Instant) -> Duration {
        let delay = if ran >= RESET_AFTER { FIRST_DELAY } else { self.next_delay };
        self.restart_at = Some(now + delay);
        self.next_delay = (delay * 2).min(MAX_DELAY);
        delay
    }

    /// Time of the scheduled restart.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.restart_at
    }

    /// Whether the scheduled restart is due.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.restart_at.is_some_and(|at| at <= now)
    }

    /// Drops the scheduled restart.
    pub(super) fn cancel(&mut self) {
        self.restart_at = None;
    }
}
