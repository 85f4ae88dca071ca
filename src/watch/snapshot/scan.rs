//! Scans: which paths differ from the snapshot.
//!
//! A directory's own signature shows whether its entries have changed. Each file is examined by its name in
//! the open directory, on two threads.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::watch::fs::{FileSignature, open_dir};

use super::snapshot::{Snapshot, SnapshotDir, SnapshotFile};

/// A path that differs from the snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ScanDiff {
    /// A file differs, and has this signature now.
    File(PathBuf, FileSignature),
    /// A file is gone.
    MissingFile(PathBuf),
    /// A directory has other entries, was replaced, or is gone.
    Dir(PathBuf),
}

/// Number of directories that a thread takes at a time.
const DIRS_PER_CHUNK: usize = 32;
/// Number of directories from which a second thread pays off.
const MIN_DIRS_FOR_THREAD: usize = 64;

/// CPU time of this thread. It measures a scan better than elapsed time, which on a busy machine includes the
/// work of other programs.
pub(crate) fn thread_cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// Compares directories and their files with the snapshot. Also returns the CPU time of the second thread.
pub(crate) fn scan(dirs: &[&SnapshotDir]) -> (Vec<ScanDiff>, Duration) {
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

/// Compares a few files, and their directories, with the snapshot.
pub(crate) fn quick_scan(snapshot: &Snapshot, paths: &[PathBuf]) -> Vec<ScanDiff> {
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
    for path in paths {
        let Some(file) = snapshot.file(path) else { continue };
        match FileSignature::of_path(path) {
            Ok(found) if file.is_unchanged(&found) => {}
            Ok(found) => diffs.push(ScanDiff::File(path.clone(), found)),
            Err(_) => diffs.push(ScanDiff::MissingFile(path.clone())),
        }
    }
    diffs
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
        match FileSignature::of_entry(&open, &file.name) {
            Ok(found) if file.is_unchanged(&found) || still_exists(file, &found) => {}
            Ok(found) => diffs.push(ScanDiff::File(dir.path.join(&*file.name), found)),
            Err(_) => diffs.push(ScanDiff::MissingFile(dir.path.join(&*file.name))),
        }
    }
}

/// Whether only the existence of the file matters, and it still exists with the same kind.
fn still_exists(file: &SnapshotFile, found: &FileSignature) -> bool {
    let known = file.signature;
    known == known.existence() && found.existence() == known
}
