//! The quiet time after which a burst ends.

use std::time::Duration;

/// Default quiet time after a change of one path. It covers the gaps within one save of an editor.
pub(super) const SINGLE: Duration = Duration::from_millis(4);
/// Quiet time added per further path, up to [`STEADY`], because a large burst is more likely to go on.
pub(super) const PER_PATH: Duration = Duration::from_millis(2);
/// Maximum quiet time while paths arrive at a steady pace: a restart follows within 30 ms of the last write.
const STEADY: Duration = Duration::from_millis(15);
/// Maximum quiet time after a burst with pauses in it. On a busy machine no program writes steadily.
const CEILING: Duration = Duration::from_millis(23);
/// Minimum number of further paths from which the pace of a burst can be judged.
const MIN_PATHS_FOR_PACE: u32 = 8;
/// Time after a start in which a new path is taken for the work of a program that is still running.
const AFTER_START: Duration = Duration::from_millis(300);
/// Maximum quiet time after such a path.
const MAX_AFTER_START: Duration = Duration::from_millis(500);

/// The configured quiet time, and the rules by which it grows.
#[derive(Debug)]
pub(super) struct DebouncePolicy {
    single: Duration,
}

impl DebouncePolicy {
    /// `debounce` is the quiet time after a single change: `None` for the default, zero for no quiet time at
    /// all.
    pub(super) fn new(debounce: Option<Duration>) -> Self {
        Self { single: debounce.unwrap_or(SINGLE) }
    }

    /// The quiet time of a burst with this number of paths, of which the longest gap between two was `pause`.
    pub(super) fn quiet_time(&self, paths: usize, pause: Duration) -> Duration {
        if self.single.is_zero() {
            return Duration::ZERO;
        }
        let more = u32::try_from(paths.saturating_sub(1)).unwrap_or(u32::MAX);
        let grown = self.single.saturating_add(PER_PATH.saturating_mul(more)).min(STEADY.max(self.single));
        let pauses = match more {
            0 => 0,
            1..MIN_PATHS_FOR_PACE => 2,
            MIN_PATHS_FOR_PACE.. => 5,
        };
        grown.max(pause * pauses).min(CEILING.max(self.single))
    }

    /// The minimum quiet time after a new path that comes this long after a start.
    ///
    /// A formatter goes on to other files after its first write has caused a start. It writes at a steady
    /// pace, so the quiet time is twice the time since the start.
    pub(super) fn quiet_time_after_start(&self, since_start: Duration) -> Duration {
        if self.single.is_zero() || since_start > AFTER_START {
            return Duration::ZERO;
        }
        (since_start * 2 + CEILING).min(MAX_AFTER_START)
    }
}
