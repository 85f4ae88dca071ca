//! Instants as wall-clock times.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment on both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    instant: Instant,
    system: SystemTime,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { instant: Instant::now(), system: SystemTime::now() }
    }

    /// The instant in microseconds since 1970-01-01 UTC. It does not follow later settings of the wall clock.
    pub(super) fn unix_us(self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.instant);
        let before = self.instant.saturating_duration_since(at);
        unix_us(self.system + since - before)
    }
}

/// A wall-clock time in microseconds since 1970-01-01 UTC.
pub(super) fn unix_us(at: SystemTime) -> u64 {
    micros(at.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Whole microseconds.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
