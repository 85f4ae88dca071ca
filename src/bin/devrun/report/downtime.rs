//! How long no generation served, for the summary. Pure: `now` is an argument.

use std::time::{Duration, Instant};

/// The generation that serves, and the time without one.
#[derive(Debug, Default)]
pub(super) struct Downtime {
    serving: Option<u64>,
    /// When the last serving generation stopped or crashed.
    down_since: Option<Instant>,
    /// When it crashed. A crash counts up to the end of the run, a stop only up to the next ready generation.
    crashed_since: Option<Instant>,
    /// All completed times without a serving generation.
    total: Duration,
}

impl Downtime {
    /// The generation that serves.
    pub(super) fn serving(&self) -> Option<u64> {
        self.serving
    }

    /// A generation is ready.
    pub(super) fn ready(&mut self, generation: u64, now: Instant) {
        self.serving = Some(generation);
        self.crashed_since = None;
        if let Some(since) = self.down_since.take() {
            self.total += now.saturating_duration_since(since);
        }
    }

    /// A generation stops serving, if it served.
    pub(super) fn stopped(&mut self, generation: u64, now: Instant) {
        if self.serving == Some(generation) {
            self.serving = None;
            self.down_since = Some(now);
        }
    }

    /// A generation crashed, whether it served or not.
    pub(super) fn crashed(&mut self, generation: u64, now: Instant) {
        self.stopped(generation, now);
        if self.serving.is_none() {
            self.crashed_since = self.down_since;
        }
    }

    /// The time without a serving generation up to now.
    pub(super) fn total(&self, now: Instant) -> Duration {
        let crashed = self.crashed_since.map(|since| now.saturating_duration_since(since));
        self.total + crashed.unwrap_or_default()
    }
}
