//! The time in which no generation serves.

use std::time::{Duration, Instant};

/// The generation that serves, and the time without one.
#[derive(Debug, Default)]
pub(super) struct Downtime {
    serving: Option<u64>,
    /// When the last serving generation stopped or crashed.
    down_since: Option<Instant>,
    /// Whether it crashed. A crash counts up to the end of the run, a stop only up to the next ready generation.
    has_crashed: bool,
    /// All completed times without a serving generation.
    completed: Duration,
}

impl Downtime {
    /// The generation that serves.
    pub(super) fn serving(&self) -> Option<u64> {
        self.serving
    }

    /// A generation is ready.
    pub(super) fn ready(&mut self, generation: u64, now: Instant) {
        let completed = self.completed + self.since_down(now);
        *self = Self { serving: Some(generation), completed, ..Self::default() };
    }

    /// A generation stops serving, if it served.
    pub(super) fn stopped(&mut self, generation: u64, now: Instant) {
        if self.serving == Some(generation) {
            self.serving = None;
            self.down_since = Some(now);
        }
    }

    /// COMMAND is stopped on request: from now on it need not serve.
    pub(super) fn halted(&mut self, now: Instant) {
        *self = Self { completed: self.total(now), ..Self::default() };
    }

    /// A generation crashed, whether it served or not.
    pub(super) fn crashed(&mut self, generation: u64, now: Instant) {
        self.stopped(generation, now);
        self.has_crashed |= self.serving.is_none();
    }

    /// The time without a serving generation up to now.
    pub(super) fn total(&self, now: Instant) -> Duration {
        self.completed + if self.has_crashed { self.since_down(now) } else { Duration::ZERO }
    }

    fn since_down(&self, now: Instant) -> Duration {
        self.down_since.map(|since| now.saturating_duration_since(since)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_halt_is_no_downtime() {
        let (mut downtime, begin) = (Downtime::default(), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        downtime.ready(1, at(0));
        downtime.stopped(1, at(10));
        downtime.ready(2, at(12));
        downtime.halted(at(20));
        downtime.stopped(2, at(21));
        downtime.ready(3, at(90));
        assert_eq!(downtime.total(at(99)), Duration::from_secs(2));
    }
}
