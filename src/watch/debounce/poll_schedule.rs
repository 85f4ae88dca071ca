//! Pure: when to scan, and what to look at in between. No clock: `now` is an argument.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What changed lately is looked at so often.
const GLANCE: Duration = Duration::from_millis(100);
/// So many paths at most, for so long after their last change.
const LATELY: usize = 64;
const REMEMBERED: Duration = Duration::from_secs(600);
/// A scan may use this part of a core: one in so many.
const SHARE: u32 = 33;

/// The rhythm of scans.
#[derive(Debug)]
pub(crate) struct PollSchedule {
    asked: Duration,
    interval: Duration,
    next_scan: Instant,
    next_glance: Instant,
    lately: VecDeque<(PathBuf, Instant)>,
}

impl PollSchedule {
    pub(crate) fn new(asked: Duration, now: Instant) -> Self {
        let asked = asked.max(Duration::from_millis(1));
        let next_glance = now + GLANCE;
        Self { asked, interval: asked, next_scan: now + asked, next_glance, lately: VecDeque::new() }
    }

    /// When to look next.
    pub(crate) fn deadline(&self) -> Instant {
        if self.lately.is_empty() { self.next_scan } else { self.next_scan.min(self.next_glance) }
    }

    /// Whether a whole scan is due.
    pub(crate) fn is_scan_due(&self, now: Instant) -> bool {
        self.next_scan <= now
    }

    /// The paths to look at, if that is due.
    pub(crate) fn glance(&mut self, now: Instant) -> Vec<PathBuf> {
        if self.next_glance > now {
            return Vec::new();
        }
        self.next_glance = now + GLANCE;
        self.lately.retain(|(_, at)| now.saturating_duration_since(*at) < REMEMBERED);
        self.lately.iter().map(|(path, _)| path.clone()).collect()
    }

    /// A path has changed.
    pub(crate) fn changed(&mut self, path: &Path, now: Instant) {
        self.lately.retain(|(known, _)| known != path);
        self.lately.push_back((path.to_owned(), now));
        if self.lately.len() > LATELY {
            self.lately.pop_front();
        }
    }

    /// A scan has ended and took so much of a core. Gives the new interval if it must be a longer one for that,
    /// by half or more; a shorter one, down to what was asked for, is taken up without a word.
    pub(crate) fn scanned(&mut self, now: Instant, took: Duration) -> Option<Duration> {
        let needed = (took * SHARE).max(self.asked);
        let stretched = needed > self.interval * 3 / 2;
        if stretched || needed < self.interval / 2 {
            self.interval = needed;
        }
        self.next_scan = now + self.interval;
        stretched.then_some(self.interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_cheap_scan_keeps_the_interval_and_a_dear_one_stretches_it_once() {
        let zero = Instant::now();
        let mut pace = PollSchedule::new(SECOND, zero);
        assert_eq!(pace.scanned(zero, Duration::from_millis(10)), None);
        assert_eq!(pace.deadline(), zero + SECOND);
        let stretched = Duration::from_millis(100) * SHARE;
        assert_eq!(pace.scanned(zero, Duration::from_millis(100)), Some(stretched));
        assert_eq!(pace.scanned(zero, Duration::from_millis(110)), None);
        assert_eq!(pace.deadline(), zero + stretched);
        assert_eq!(pace.scanned(zero, Duration::from_millis(5)), None);
        assert_eq!(pace.deadline(), zero + SECOND);
    }

    #[test]
    fn what_changed_lately_is_looked_at_more_often_for_a_while() {
        let zero = Instant::now();
        let mut pace = PollSchedule::new(SECOND, zero);
        pace.changed(Path::new("/a"), zero);
        assert_eq!(pace.deadline(), zero + GLANCE);
        assert!(pace.glance(zero).is_empty());
        assert_eq!(pace.glance(zero + GLANCE), [Path::new("/a")]);
        assert_eq!(pace.deadline(), zero + 2 * GLANCE);
        assert!(pace.glance(zero + REMEMBERED).is_empty());
        for number in 0..100 {
            pace.changed(Path::new(&format!("/{number}")), zero);
        }
        assert_eq!(pace.lately.len(), LATELY);
    }
}
