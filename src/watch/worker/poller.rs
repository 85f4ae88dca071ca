//! Polling: full scans of directories without a watch, quick scans of recently changed paths in between, and
//! retries of directories that could not be watched or read.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::watch::fs::open_dir;
use crate::watch::snapshot::{Coverage, ScanDiff, SnapshotDir, SnapshotSync, quick_scan, scan};

/// Interval of quick scans.
const QUICK_SCAN_INTERVAL: Duration = Duration::from_millis(100);
/// Maximum number of paths in a quick scan.
const MAX_RECENT_PATHS: usize = 64;
/// Time after its last change for which a path takes part in quick scans.
const RECENT: Duration = Duration::from_secs(600);
/// Full scans may use one part in this many of one CPU core.
const CPU_SHARE: u32 = 33;
/// Delay before watches are tried again after a limit.
const RETRY_DELAY: Duration = Duration::from_secs(5);
/// Delay before unreadable directories are tried again.
const UNREADABLE_RETRY_DELAY: Duration = Duration::from_secs(30);

/// When to scan, and when to retry.
#[derive(Debug)]
pub(super) struct Poller {
    configured: Duration,
    interval: Duration,
    next_scan: Instant,
    next_quick_scan: Instant,
    /// The recently changed paths, each with the time of its last change.
    recent: VecDeque<(PathBuf, Instant)>,
    /// There is something to scan.
    is_active: bool,
    retry_at: Option<Instant>,
}

impl Poller {
    /// Full scans have this interval.
    pub(super) fn new(interval: Duration, now: Instant) -> Self {
        let interval = interval.max(Duration::from_millis(1));
        Self {
            configured: interval,
            interval,
            next_scan: now + interval,
            next_quick_scan: now + QUICK_SCAN_INTERVAL,
            recent: VecDeque::new(),
            is_active: false,
            retry_at: None,
        }
    }

    /// Whether there is something to scan.
    pub(super) fn is_active(&self) -> bool {
        self.is_active
    }

    /// The time of the next scan or retry; `None` if none is needed.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let scan = self.is_active.then(|| self.next_scan_of_either_kind());
        scan.into_iter().chain(self.retry_at).min()
    }

    fn next_scan_of_either_kind(&self) -> Instant {
        if self.recent.is_empty() { self.next_scan } else { self.next_scan.min(self.next_quick_scan) }
    }

    /// Decides from the snapshot whether scans and retries are needed.
    pub(super) fn update(&mut self, sync: &SnapshotSync) {
        let (has_polled, has_unreadable) = {
            let snapshot = sync.snapshot();
            let is_polled = |dir: &SnapshotDir| dir.coverage == Coverage::Polling && !dir.is_unreadable();
            (snapshot.dirs().any(is_polled), snapshot.dirs().any(SnapshotDir::is_unreadable))
        };
        // Without events, scans examine the roots themselves too.
        self.is_active = has_polled || !sync.watches.has_events();
        let delay = if sync.watches.is_limited() {
            Some(RETRY_DELAY)
        } else {
            has_unreadable.then_some(UNREADABLE_RETRY_DELAY)
        };
        self.retry_at = delay.map(|delay| self.retry_at.unwrap_or_else(|| Instant::now() + delay));
    }

    /// Whether a retry is due. The next call returns `false`.
    pub(super) fn take_due_retry(&mut self, now: Instant) -> bool {
        self.retry_at.take_if(|at| *at <= now).is_some()
    }

    /// Scans each directory without a watch. Also returns the CPU time of the second thread.
    pub(super) fn scan(&self, sync: &SnapshotSync) -> (Vec<ScanDiff>, Duration) {
        let snapshot = sync.snapshot();
        let dirs: Vec<_> = snapshot.dirs().filter(|dir| dir.coverage == Coverage::Polling).collect();
        scan(&dirs)
    }

    /// Scans the recently changed paths, if that is due.
    pub(super) fn quick_scan(&mut self, sync: &SnapshotSync, now: Instant) -> Vec<ScanDiff> {
        let recent = self.begin_quick_scan(now);
        quick_scan(&sync.snapshot(), &recent)
    }

    /// Scans directories that have just got a watch.
    pub(super) fn scan_dirs(&self, sync: &SnapshotSync, dirs: &[PathBuf]) -> Vec<ScanDiff> {
        let snapshot = sync.snapshot();
        let dirs: Vec<_> = dirs.iter().filter_map(|path| snapshot.dir(path)).collect();
        scan(&dirs).0
    }

    /// The unreadable directories that can be read now.
    pub(super) fn readable_again(&self, sync: &SnapshotSync) -> Vec<PathBuf> {
        let snapshot = sync.snapshot();
        let readable = snapshot.dirs().filter(|dir| dir.is_unreadable() && open_dir(&dir.path).is_ok());
        readable.map(|dir| dir.path.to_path_buf()).collect()
    }

    /// Whether a full scan is due.
    pub(super) fn is_scan_due(&self, now: Instant) -> bool {
        self.next_scan <= now
    }

    /// The paths of the quick scan that is due now; none if no quick scan is due.
    fn begin_quick_scan(&mut self, now: Instant) -> Vec<PathBuf> {
        if self.next_quick_scan > now {
            return Vec::new();
        }
        self.next_quick_scan = now + QUICK_SCAN_INTERVAL;
        self.recent.retain(|(_, at)| now.saturating_duration_since(*at) < RECENT);
        self.recent.iter().map(|(path, _)| path.clone()).collect()
    }

    /// Adds a changed path to the quick scans.
    pub(super) fn add_changed(&mut self, path: &Path, now: Instant) {
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
    pub(super) fn finish_scan(&mut self, now: Instant, cpu_time: Duration) -> Option<Duration> {
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
        let mut poller = Poller::new(SECOND, zero);
        assert_eq!(poller.finish_scan(zero, Duration::from_millis(10)), None);
        assert_eq!(poller.next_scan_of_either_kind(), zero + SECOND);
        let stretched = Duration::from_millis(100) * CPU_SHARE;
        assert_eq!(poller.finish_scan(zero, Duration::from_millis(100)), Some(stretched));
        assert_eq!(poller.finish_scan(zero, Duration::from_millis(110)), None);
        assert_eq!(poller.next_scan_of_either_kind(), zero + stretched);
        assert_eq!(poller.finish_scan(zero, Duration::from_millis(5)), None);
        assert_eq!(poller.next_scan_of_either_kind(), zero + SECOND);
    }

    #[test]
    fn recently_changed_paths_are_scanned_more_often_for_a_while() {
        let zero = Instant::now();
        let mut poller = Poller::new(SECOND, zero);
        poller.add_changed(Path::new("/a"), zero);
        assert_eq!(poller.next_scan_of_either_kind(), zero + QUICK_SCAN_INTERVAL);
        assert!(poller.begin_quick_scan(zero).is_empty());
        assert_eq!(poller.begin_quick_scan(zero + QUICK_SCAN_INTERVAL), [Path::new("/a")]);
        assert_eq!(poller.next_scan_of_either_kind(), zero + 2 * QUICK_SCAN_INTERVAL);
        assert!(poller.begin_quick_scan(zero + RECENT).is_empty());
        for number in 0..100 {
            poller.add_changed(Path::new(&format!("/{number}")), zero);
        }
        assert_eq!(poller.recent.len(), MAX_RECENT_PATHS);
    }
}
