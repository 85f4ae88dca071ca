//! Holds a burst back while git works in a watched repository.

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Delay before the lock of a running git operation is checked again.
const CHECK_INTERVAL: Duration = Duration::from_millis(10);
/// Maximum wait, after a git operation has ended, for its last events to arrive.
const MAX_EVENT_DELAY: Duration = Duration::from_millis(500);
/// Delay before the hold is announced.
const ANNOUNCE_DELAY: Duration = Duration::from_millis(100);
/// Maximum time for which a burst is held back.
pub(super) const MAX_HOLD: Duration = Duration::from_secs(30);

/// The hold on the current burst, if there is one.
#[derive(Debug, Default)]
pub(super) struct GitHold {
    current: Option<Hold>,
}

#[derive(Debug)]
struct Hold {
    since: Instant,
    next_check: Instant,
    is_announced: bool,
    /// The time from which git's lock was gone.
    unlocked_at: Option<Instant>,
}

/// The result of a check.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HoldCheck {
    /// Git does not work, so the burst may end.
    Free,
    /// The burst is to wait.
    Held,
    /// The burst is to wait, and the owner is to be informed of this lock.
    Announce(PathBuf),
    /// The hold has just ended. Changes of the last moment may still be unknown.
    Ended,
}

impl GitHold {
    /// Ends the hold, because there is no burst.
    pub(super) fn clear(&mut self) {
        self.current = None;
    }

    /// The time of the next check; `None` without a hold.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.current.as_ref().map(|hold| hold.next_check)
    }

    /// Checks whether a burst that would end now is to wait. `lock` is the lock of a running git operation.
    /// `is_behind` says whether events are still on their way.
    pub(super) fn check(
        &mut self,
        now: Instant,
        lock: Option<PathBuf>,
        is_behind: impl FnOnce() -> bool,
    ) -> HoldCheck {
        let since = self.current.as_ref().map_or(now, |hold| hold.since);
        let waited = now.saturating_duration_since(since);
        let next_check = now + CHECK_INTERVAL;
        let Some(lock) = lock.filter(|_| waited < MAX_HOLD) else {
            let Some(hold) = &mut self.current else { return HoldCheck::Free };
            // Git's last writes belong to this burst.
            let unlocked_for =
                |hold: &mut Hold| now.saturating_duration_since(*hold.unlocked_at.get_or_insert(now));
            if is_behind() && unlocked_for(hold) < MAX_EVENT_DELAY {
                hold.next_check = next_check;
                return HoldCheck::Held;
            }
            self.current = None;
            return HoldCheck::Ended;
        };
        tracing::trace!(?lock, "git works: burst held back");
        let was_announced = self.current.as_ref().is_some_and(|hold| hold.is_announced);
        let announces = !was_announced && waited >= ANNOUNCE_DELAY;
        let is_announced = was_announced || announces;
        self.current = Some(Hold { since, next_check, is_announced, unlocked_at: None });
        if announces { HoldCheck::Announce(lock) } else { HoldCheck::Held }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_is_announced_once_and_ends_when_the_last_events_have_arrived() {
        let (mut hold, zero) = (GitHold::default(), Instant::now());
        let lock = || Some(PathBuf::from("/r/.git/index.lock"));
        assert_eq!(hold.check(zero, None, || true), HoldCheck::Free);
        assert_eq!(hold.check(zero, lock(), || false), HoldCheck::Held);
        assert_eq!(hold.deadline(), Some(zero + CHECK_INTERVAL));
        let now = zero + ANNOUNCE_DELAY;
        assert_eq!(hold.check(now, lock(), || false), HoldCheck::Announce(lock().unwrap()));
        assert_eq!(hold.check(now, lock(), || false), HoldCheck::Held);
        assert_eq!(hold.check(now, None, || true), HoldCheck::Held);
        assert_eq!(hold.check(now, None, || false), HoldCheck::Ended);
        assert_eq!(hold.deadline(), None);
    }

    #[test]
    fn a_hold_ends_after_its_maximum_time() {
        let (mut hold, zero) = (GitHold::default(), Instant::now());
        let lock = || Some(PathBuf::from("/r/.git/index.lock"));
        hold.check(zero, lock(), || false);
        assert_eq!(hold.check(zero + MAX_HOLD, lock(), || false), HoldCheck::Ended);
    }
}
