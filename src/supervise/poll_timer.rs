//! When to look next for something that comes without an event.

use std::time::{Duration, Instant};

/// First delay between two looks; it doubles up to [`MAX_DELAY`].
const FIRST_DELAY: Duration = Duration::from_millis(1);
const MAX_DELAY: Duration = Duration::from_millis(50);

/// Times of repeated looks, with growing delays.
#[derive(Debug, Clone, Copy)]
pub(super) struct PollTimer {
    next: Instant,
    delay: Duration,
}

impl PollTimer {
    /// The first look is due now.
    pub(super) fn start(now: Instant) -> Self {
        Self { next: now, delay: FIRST_DELAY }
    }

    /// When the next look is due.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next <= now
    }

    /// Makes the next look due now, without starting again with short delays.
    pub(super) fn hasten(&mut self, now: Instant) {
        self.next = now;
    }

    /// Schedules the next look after this one.
    pub(super) fn schedule_next(&mut self, now: Instant) {
        self.next = now + self.delay;
        self.delay = (self.delay * 2).min(MAX_DELAY);
    }
}
