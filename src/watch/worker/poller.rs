//! Polling: full scans of directories without a watch, quick scans of recently changed paths in between, and
//! retries of directories that could not be watched or read.
//!
//! A directory's own signature shows whether its entries have changed. Each file is examined by its name in
//! the open directory, on two threads.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::watch::fs::{FileSignature, open_dir};
use crate::watch::snapshot::{Coverage, SnapshotDir, SnapshotSync};

const QUICK_SCAN_INTERVAL: Duration = Duration::from_millis(100);
const MAX_RECENT_PATHS: usize = 64;
/// Time after its last change for which a path takes part in quick scans.
const RECENT: Duration = Duration::from_secs(600);
/// Full scans may use one part in this many of one CPU core.
const CPU_SHARE: u32 = 33;
/// Delay before watches are tried again after a limit.
const RETRY_DELAY: Duration = Duration::from_secs(5);
/// Delay before unreadable directories are tried again.
const UNREADABLE_RETRY_DELAY: Duration = Duration::from_secs(30);
/// Number of directories that a thread takes at a time.
const DIRS_PER_CHUNK: usize = 32;
/// Number of directories from which a second thread pays off.
const MIN_DIRS_FOR_THREAD: usize = 64;

/// A path that differs from the snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ScanDiff {
    /// A file differs, and has this signature now; `None` if it is gone.
    File(PathBuf, Option<FileSignature>),
    /// A directory has other entries, was replaced, or is gone.
    Dir(PathBuf),
}

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
        let is_quick = !self.recent.is_empty() && self.next_quick_scan < self.next_scan;
        let scan = if is_quick { self.next_quick_scan } else { self.next_scan };
        self.is_active.then_some(scan).into_iter().chain(self.retry_at).min()
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

    /// Scans the recently changed paths, and their directories, if that is due.
    pub(super) fn quick_scan(&mut self, sync: &SnapshotSync, now: Instant) -> Vec<ScanDiff> {
        let (paths, snapshot) = (self.begin_quick_scan(now), sync.snapshot());
        let mut diffs = Vec::new();
        let mut parents: Vec<&Path> = paths.iter().filter_map(|path| path.parent()).collect();
        parents.sort_unstable();
        parents.dedup();
        for dir in parents.into_iter().filter_map(|parent| snapshot.dir(parent)) {
            let found = FileSignature::of_path(&dir.path.join("")).ok();
            if dir.is_racy || found.as_ref() != Some(&dir.signature) {
                diffs.push(ScanDiff::Dir(dir.path.to_path_buf()));
            }
        }
        for path in &paths {
            let Some(file) = snapshot.file(path) else { continue };
            match FileSignature::of_path_with(path, file.links) {
                Ok(found) if file.is_unchanged(&found) => {}
                found => diffs.push(ScanDiff::File(path.clone(), found.ok())),
            }
        }
        diffs
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
    /// Returns the new interval if it has grown by half or more.
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

/// CPU time of this thread. Elapsed time would include the work of other programs.
pub(super) fn thread_cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// Compares the chosen directories and their files with the snapshot. Also returns the CPU time of the second
/// thread.
pub(super) fn scan(
    sync: &SnapshotSync,
    is_chosen: impl Fn(&SnapshotDir) -> bool,
) -> (Vec<ScanDiff>, Duration) {
    let snapshot = sync.snapshot();
    let dirs: Vec<_> = snapshot.dirs().filter(|dir| is_chosen(dir)).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut diffs = Vec::new();
        loop {
            let start = next.fetch_add(DIRS_PER_CHUNK, Ordering::Relaxed);
            if start >= dirs.len() {
                return diffs;
            }
            for dir in &dirs[start..dirs.len().min(start + DIRS_PER_CHUNK)] {
                scan_dir(dir, &mut diffs);
            }
        }
    };
    if dirs.len() < MIN_DIRS_FOR_THREAD {
        return (work(), Duration::ZERO);
    }
    std::thread::scope(|scope| {
        let helper = std::thread::Builder::new().spawn_scoped(scope, || (work(), thread_cpu_time())).ok();
        let mut diffs = work();
        let (others, cpu_time) = helper.and_then(|helper| helper.join().ok()).unwrap_or_default();
        diffs.extend(others);
        (diffs, cpu_time)
    })
}

fn scan_dir(dir: &SnapshotDir, diffs: &mut Vec<ScanDiff>) {
    let Ok(open) = open_dir(&dir.path) else {
        if !dir.is_unreadable() || !dir.path.exists() {
            diffs.push(ScanDiff::Dir(dir.path.to_path_buf()));
        }
        return;
    };
    let found = FileSignature::of_open(&open).ok();
    if dir.is_racy || dir.is_unreadable() || found.as_ref() != Some(&dir.signature) {
        diffs.push(ScanDiff::Dir(dir.path.to_path_buf()));
    }
    for file in dir.rule_files.iter().chain(&dir.files) {
        match FileSignature::of_entry(&open, &file.name, file.links) {
            Ok(found) if file.is_unchanged(&found) => {}
            found => diffs.push(ScanDiff::File(dir.path.join(&*file.name), found.ok())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_expensive_scan_stretches_the_interval_once() {
        let zero = Instant::now();
        let mut poller = Poller { is_active: true, ..Poller::new(SECOND, zero) };
        assert_eq!(poller.finish_scan(zero, Duration::from_millis(10)), None);
        assert_eq!(poller.deadline(), Some(zero + SECOND));
        let stretched = Duration::from_millis(100) * CPU_SHARE;
        assert_eq!(poller.finish_scan(zero, Duration::from_millis(100)), Some(stretched));
        assert_eq!(poller.finish_scan(zero, Duration::from_millis(110)), None);
        assert_eq!(poller.deadline(), Some(zero + stretched));
        assert_eq!(poller.finish_scan(zero, Duration::from_millis(5)), None);
        assert_eq!(poller.deadline(), Some(zero + SECOND));
    }

    #[test]
    fn recently_changed_paths_are_scanned_more_often_for_a_while() {
        let zero = Instant::now();
        let mut poller = Poller { is_active: true, ..Poller::new(SECOND, zero) };
        poller.add_changed(Path::new("/a"), zero);
        assert_eq!(poller.deadline(), Some(zero + QUICK_SCAN_INTERVAL));
        assert!(poller.begin_quick_scan(zero).is_empty());
        assert_eq!(poller.begin_quick_scan(zero + QUICK_SCAN_INTERVAL), [Path::new("/a")]);
        assert_eq!(poller.deadline(), Some(zero + 2 * QUICK_SCAN_INTERVAL));
        assert!(poller.begin_quick_scan(zero + RECENT).is_empty());
        for number in 0..100 {
            poller.add_changed(Path::new(&format!("/{number}")), zero);
        }
        assert_eq!(poller.recent.len(), MAX_RECENT_PATHS);
    }
}
