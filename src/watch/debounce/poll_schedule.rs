//! The times of full scans, and of quick scans of recently changed paths in between.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Interval of quick scans.
const QUICK_SCAN_INTERVAL: Duration = Duration::from_millis(100);
/// Maximum number of paths in a quick scan.
const MAX_RECENT_PATHS: usize = 64;
/// Time after its last change for which a path takes part in quick scans.
const RECENT: Duration = Duration::from_secs(600);
/// Full scans may use one part in this many of one CPU core.
const CPU_SHARE: u32 = 33;

/// The schedule of scans.
#[derive(Debug)]
pub(crate) struct PollSchedule {
    configured: Duration,
    interval: Duration,
    next_scan: Instant,
    next_quick_scan: Instant,
    recent: VecDeque<(PathBuf, Instant)>,
}

impl PollSchedule {
    /// A schedule of full scans with this interval.
    pub(crate) fn new(interval: Duration, now: Instant) -> Self {
        let interval = interval.max(Duration::from_millis(1));
        Self {
            configured: interval,
            interval,
            next_scan: now + interval,
            next_quick_scan: now + QUICK_SCAN_INTERVAL,
            recent: VecDeque::new(),
        }
    }

    /// The time of the next scan of either kind.
    pub(crate) fn deadline(&self) -> Instant {
        if self.recent.is_empty() { self.next_scan } else { self.next_scan.min(self.next_quick_scan) }
    }

    /// Whether a full scan is due.
    pub(crate) fn is_scan_due(&self, now: Instant) -> bool {
        self.next_scan <= now
    }

    /// The paths of the quick scan that is due now; none if no quick scan is due.
    pub(crate) fn begin_quick_scan(&mut self, now: Instant) -> Vec<PathBuf> {
        if self.next_quick_scan > now {
            return Vec::new();
        }
        self.next_quick_scan = now + QUICK_SCAN_INTERVAL;
        self.recent.retain(|(_, at)| now.saturating_duration_since(*at) < RECENT);
        self.recent.iter().map(|(path, _)| path.clone()).collect()
    }

    /// Adds a changed path to the quick scans.
    pub(crate) fn add_changed(&mut self, path: &Path, now: Instant) {
        self.recent.retain(|(known, _)| known != path);
        self.recent.push_back((path.to_owned(), now));
        if self.recent.len() > MAX_RECENT_PATHS {
            self.recent.pop_front();
        }
    }

    /// Schedules the next full scan after one that took this much CPU time.
    ///
    /// Returns the new interval if it has grown by half or more. It shrinks back to the configured one
    /// silently.
    pub(crate) fn finish_scan(&mut self, now: Instant, cpu_time: Duration) -> Option<Duration> {
        let needed = (cpu_time * CPU_SHARE).max(self.configured);
        let has_grown = needed > self.interval * 3 / 2;
        if has_grown || needed < self.interval / 2 {
            self.interval = needed;
        }
        self.next_scan = now + self.interval;
        has_grown.then_some(self.interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_expensive_scan_stretches_the_interval_once() {
        let zero = Instant::now();
        let mut schedule = PollSchedule::new(SECOND, zero);
        assert_eq!(schedule.finish_scan(zero, Duration::from_millis(10)), None);
        assert_eq!(schedule.deadline(), zero + SECOND);
        let stretched = Duration::from_millis(100) * CPU_SHARE;
        assert_eq!(schedule.finish_scan(zero, Duration::from_millis(100)), Some(stretched));
        assert_eq!(schedule.finish_scan(zero, Duration::from_millis(110)), None);
        assert_eq!(schedule.deadline(), zero + stretched);
        assert_eq!(schedule.finish_scan(zero, Duration::from_millis(5)), None);
        assert_eq!(schedule.deadline(), zero + SECOND);
    }

    #[test]
    fn recently_changed_paths_are_scanned_more_often_for_a_while() {
        let zero = Instant::now();
        let mut schedule = PollSchedule::new(SECOND, zero);
        schedule.add_changed(Path::new("/a"), zero);
        assert_eq!(schedule.deadline(), zero + QUICK_SCAN_INTERVAL);
        assert!(schedule.begin_quick_scan(zero).is_empty());
        assert_eq!(schedule.begin_quick_scan(zero + QUICK_SCAN_INTERVAL), [Path::new("/a")]);
        assert_eq!(schedule.deadline(), zero + 2 * QUICK_SCAN_INTERVAL);
        assert!(schedule.begin_quick_scan(zero + RECENT).is_empty());
        for number in 0..100 {
            schedule.add_changed(Path::new(&format!("/{number}")), zero);
        }
        assert_eq!(schedule.recent.len(), MAX_RECENT_PATHS);
    }
}
