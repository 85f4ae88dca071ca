//! The end of the first walk: files that were written just before it.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::watch::fs::FileSignature;
use crate::watch::snapshot::{
    CompareOptions, Comparison, FileComparer, SnapshotDir, SnapshotFile, SnapshotSync,
};

/// Length of a timer tick, by which kernels before 6.13 time writes.
pub(super) const TIMER_TICK: Duration = Duration::from_millis(10);
/// Maximum number of files that are read. If more were just written, the thread waits until their signatures
/// are reliable.
const MAX_FILES_TO_READ: usize = 500;

/// Makes the signatures of files reliable that were written just before the first walk. A later write within
/// the same timer tick would leave the same signature.
pub(super) fn settle_racy_files(sync: &SnapshotSync, options: CompareOptions) {
    let racy: Vec<PathBuf> = sync.snapshot().dirs().flat_map(racy_files).collect();
    if racy.len() > MAX_FILES_TO_READ {
        wait_for_tick(sync, racy);
    } else {
        read_files(sync, racy, options);
    }
}

fn racy_files(dir: &SnapshotDir) -> Vec<PathBuf> {
    let racy = dir.files().iter().filter(|file| file.is_racy());
    racy.map(|file| dir.path().join(file.name())).collect()
}

fn wait_for_tick(sync: &SnapshotSync, racy: Vec<PathBuf>) {
    std::thread::sleep(2 * TIMER_TICK);
    for path in racy {
        let Ok(signature) = FileSignature::of_path(&path) else { continue };
        if signature.has_content() {
            update(sync, &path, |file| file.set_signature(signature, SystemTime::now()));
        }
    }
}

fn read_files(sync: &SnapshotSync, racy: Vec<PathBuf>, options: CompareOptions) {
    let mut comparer = FileComparer::new(options);
    for path in racy {
        if let Comparison::Changed(found) = comparer.compare(&path, None, false) {
            update(sync, &path, |file| *file = found);
        }
    }
}

fn update(sync: &SnapshotSync, path: &std::path::Path, change: impl FnOnce(&mut SnapshotFile)) {
    if let Some(file) = sync.snapshot().file_mut(path) {
        change(file);
    }
}
