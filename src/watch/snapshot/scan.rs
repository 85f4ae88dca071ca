//! Scans of the pruned tree: what differs from the snapshot is a hint. A directory's own signature decides whether it
//! is listed again; its files are looked at one by one from its descriptor, on two threads.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::watch::fs::read_dir::open_dir;
use crate::watch::fs::signature::{self, FileSignature};
use crate::watch::snapshot::snapshot::{Dir, Snapshot};

/// What a scan noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ScanDiff {
    /// A file differs, and looks like this now.
    File(PathBuf, FileSignature),
    /// A file is gone.
    Missing(PathBuf),
    /// A directory has other entries than before, or is another one, or is gone.
    Dir(PathBuf),
}

/// SyncMode many directories a thread takes at a time.
const SHARE: usize = 32;
/// Below this many directories a second thread costs more than it brings.
const WORTH_THREADS: usize = 64;

/// What this thread has used of a core until now. What a scan costs is reported by that and not by the time it takes: on a busy
/// machine it waits for others, and would make itself rarer for them.
pub(crate) fn used() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// Compares directories and their files with the snapshot. Tells what that used of other cores than the caller's.
pub(crate) fn scan(dirs: &[&Dir]) -> (Vec<ScanDiff>, Duration) {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut notices = Vec::new();
        loop {
            let start = next.fetch_add(SHARE, Ordering::Relaxed);
            let Some(share) =
                dirs.get(start..dirs.len().min(start + SHARE)).filter(|share| !share.is_empty())
            else {
                return notices;
            };
            share.iter().for_each(|dir| scan_dir(dir, &mut notices));
        }
    };
    if dirs.len() < WORTH_THREADS {
        return (work(), Duration::ZERO);
    }
    std::thread::scope(|scope| {
        let helper = std::thread::Builder::new().spawn_scoped(scope, || (work(), used())).ok();
        let mut notices = work();
        let (others, elsewhere) = helper.and_then(|helper| helper.join().ok()).unwrap_or_default();
        notices.extend(others);
        (notices, elsewhere)
    })
}

fn scan_dir(dir: &Dir, notices: &mut Vec<ScanDiff>) {
    let Ok(open) = open_dir(&dir.path) else {
        if !dir.unreadable || !dir.path.exists() {
            notices.push(ScanDiff::Dir(dir.path.to_path_buf()));
        }
        return;
    };
    if dir.racy || dir.unreadable || signature::look_at(&open).ok() != Some(dir.signature) {
        notices.push(ScanDiff::Dir(dir.path.to_path_buf()));
    }
    for entry in dir.rules().iter().chain(dir.files()) {
        match signature::look_in(&open, &entry.name) {
            Ok(now) if now == entry.signature && !entry.racy => {}
            Ok(now) if entry.signature == entry.signature.presence() && now.presence() == entry.signature => {
            }
            Ok(now) => notices.push(ScanDiff::File(dir.path.join(&*entry.name), now)),
            Err(_) => notices.push(ScanDiff::Missing(dir.path.join(&*entry.name))),
        }
    }
}

/// Compares a few files, and the directories they are in, with the snapshot.
pub(crate) fn glance(tree: &Snapshot, paths: &[PathBuf]) -> Vec<ScanDiff> {
    let mut notices = Vec::new();
    let mut parents: Vec<&Path> = paths.iter().filter_map(|path| path.parent()).collect();
    parents.sort_unstable();
    parents.dedup();
    for dir in parents.into_iter().filter_map(|parent| tree.dir(parent)) {
        if dir.racy || signature::look(&dir.path.join("")).ok() != Some(dir.signature) {
            notices.push(ScanDiff::Dir(dir.path.to_path_buf()));
        }
    }
    for path in paths {
        let Some(entry) = tree.file(path) else { continue };
        match signature::look(path) {
            Ok(now) if now == entry.signature && !entry.racy => {}
            Ok(now) => notices.push(ScanDiff::File(path.clone(), now)),
            Err(_) => notices.push(ScanDiff::Missing(path.clone())),
        }
    }
    notices
}
