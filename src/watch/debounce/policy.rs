//! Pure: how long to wait for more after a change.

use std::time::Duration;

/// The quiet time after a change of one path: as long as the gaps within an editor's save, not longer.
pub(crate) const SINGLE: Duration = Duration::from_millis(4);
/// What each further path adds, up to [`STEADY`]: the more there were, the more are likely to come.
pub(crate) const PER_PATH: Duration = Duration::from_millis(2);
/// The longest quiet time while paths keep coming at a steady pace: a start follows within 30 ms of the last write.
const STEADY: Duration = Duration::from_millis(15);
/// The longest quiet time that a burst grows to by itself, if it has already paused: a busy machine lets nobody work steadily.
const CEILING: Duration = Duration::from_millis(23);
/// From so many paths on it shows how steadily they come.
const SHOWS_PACE: u32 = 8;
/// New paths that change so soon after a start belong to something that is still at work.
const JUST_STARTED: Duration = Duration::from_millis(300);
/// The longest quiet time after such a start.
const LONGEST_STRETCH: Duration = Duration::from_millis(500);

/// The quiet time that was asked for, and what it grows to.
#[derive(Debug)]
pub(crate) struct DebouncePolicy {
    single: Duration,
}

impl DebouncePolicy {
    /// `debounce`: the quiet time after a single change. None: the default. Zero: there is none.
    pub(crate) fn new(debounce: Option<Duration>) -> Self {
        Self { single: debounce.unwrap_or(SINGLE) }
    }

    /// After so many paths that came with pauses of up to this long.
    pub(crate) fn after(&self, paths: usize, pause: Duration) -> Duration {
        if self.single.is_zero() {
            return Duration::ZERO;
        }
        let more = u32::try_from(paths.saturating_sub(1)).unwrap_or(u32::MAX);
        let grown = self.single.saturating_add(PER_PATH.saturating_mul(more)).min(STEADY.max(self.single));
        let pauses = match more {
            0 => 0,
            1..SHOWS_PACE => 2,
            SHOWS_PACE.. => 5,
        };
        grown.max(pause * pauses).min(CEILING.max(self.single))
    }

    /// After a path that nobody has changed before, so long after a start: a formatter goes on to other files after the first
    /// of them has caused a start. Twice the time since the start, since that is the pace at which it works.
    pub(crate) fn stretch(&self, since: Duration) -> Duration {
        if self.single.is_zero() || since > JUST_STARTED {
            return Duration::ZERO;
        }
        (since * 2 + CEILING).min(LONGEST_STRETCH)
    }
}
