//! Polling: scans of directories without a watch, and retries of directories that could not be watched or
//! read.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::watch::debounce::PollSchedule;
use crate::watch::fs::open_dir;
use crate::watch::snapshot::{Coverage, ScanDiff, SnapshotDir, SnapshotSync, quick_scan, scan};

/// Delay before watches are tried again after a limit.
const RETRY_DELAY: Duration = Duration::from_secs(5);
/// Delay before unreadable directories are tried again.
const UNREADABLE_RETRY_DELAY: Duration = Duration::from_secs(30);

/// When to scan, and when to retry.
#[derive(Debug)]
pub(super) struct Poller {
    schedule: PollSchedule,
    /// There is something to scan.
    is_active: bool,
    retry_at: Option<Instant>,
}

impl Poller {
    pub(super) fn new(interval: Duration, now: Instant) -> Self {
        Self { schedule: PollSchedule::new(interval, now), is_active: false, retry_at: None }
    }

    /// Whether there is something to scan.
    pub(super) fn is_active(&self) -> bool {
        self.is_active
    }

    /// The schedule of the scans.
    pub(super) fn schedule_mut(&mut self) -> &mut PollSchedule {
        &mut self.schedule
    }

    /// The time of the next scan or retry; `None` if none is needed.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let scan = self.is_active.then(|| self.schedule.deadline());
        scan.into_iter().chain(self.retry_at).min()
    }

    /// Decides from the snapshot whether scans and retries are needed.
    pub(super) fn update(&mut self, sync: &SnapshotSync) {
        let (has_polled, has_unreadable) = {
            let snapshot = sync.snapshot();
            let is_polled = |dir: &SnapshotDir| dir.coverage() == Coverage::Polling && !dir.is_unreadable();
            (snapshot.dirs().any(is_polled), snapshot.dirs().any(SnapshotDir::is_unreadable))
        };
        // Without events, scans examine the roots themselves too.
        self.is_active = has_polled || !sync.has_events();
        let delay = if sync.is_limited() {
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
        let dirs: Vec<_> = snapshot.dirs().filter(|dir| dir.coverage() == Coverage::Polling).collect();
        scan(&dirs)
    }

    /// Scans the recently changed paths, if that is due.
    pub(super) fn quick_scan(&mut self, sync: &SnapshotSync, now: Instant) -> Vec<ScanDiff> {
        let recent = self.schedule.begin_quick_scan(now);
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
        let readable = snapshot.dirs().filter(|dir| dir.is_unreadable() && open_dir(dir.path()).is_ok());
        readable.map(|dir| dir.path().to_owned()).collect()
    }
}
