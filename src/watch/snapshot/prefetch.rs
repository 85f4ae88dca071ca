//! Reads the files of the snapshot in the background, so that the first save of an unchanged one is known for
//! what it is. Ends by itself when everything is read or the budget is used up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{ffi::OsStr, path::PathBuf};

use crate::watch::fs::read_dir::open_dir;
use crate::watch::fs::signature::FileSignature;
use crate::watch::options::Compare;
use crate::watch::snapshot::fingerprint::FileComparer;
use crate::watch::snapshot::snapshot::{Fingerprint, Snapshot};

/// No more is read in the background than this, and no larger file: source files are small.
const BUDGET: u64 = 256 << 20;
const LARGEST: u64 = 4 << 20;
/// It pauses after so much work, as long as it has worked: the child that is starting has the other half.
const STRETCH: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(40);
/// It begins so much later: a child that is being launched may be on this processor.
const FIRST_PAUSE: Duration = Duration::from_millis(3);

/// The thread that reads.
#[derive(Debug)]
pub(crate) struct Prefetch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Prefetch {
    /// Starts to read what has not been read yet.
    pub(crate) fn start(tree: Arc<Mutex<Snapshot>>, how: Compare, limit: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let work = move || read_all(&tree, FileComparer::new(how, limit.min(LARGEST)), &stopped);
        // Without a thread every first save counts as a change: late, but never wrong.
        let thread = (how == Compare::Content)
            .then(|| std::thread::Builder::new().name("devrun-read".into()).spawn(work).ok())
            .flatten();
        Self { stop, thread }
    }

    /// Whether it has ended.
    pub(crate) fn is_done(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn read_all(tree: &Mutex<Snapshot>, mut comparer: FileComparer, stop: &AtomicBool) {
    std::thread::sleep(FIRST_PAUSE);
    let mut left = BUDGET;
    let mut since = Instant::now();
    // Asked before the loop: a lock taken in its head would be held through all of it.
    let dirs = unread_dirs(&locked(tree));
    for dir in dirs {
        let unread = unread_files(&locked(tree), &dir);
        let Ok(open) = open_dir(&dir) else { continue };
        let mut read = Vec::with_capacity(unread.len());
        for (name, signature) in unread {
            if stop.load(Ordering::Relaxed) || left < signature.size {
                return;
            }
            left -= signature.size;
            if let Some(fingerprint) = comparer.fingerprint_in(&open, &name, &signature) {
                read.push((name, signature, fingerprint));
            }
            if since.elapsed() > STRETCH {
                std::thread::sleep(since.elapsed().min(LONGEST_PAUSE));
                since = Instant::now();
            }
        }
        keep(&mut locked(tree), &dir, read);
    }
}

/// Directories with unread files, those changed last first: they will be saved first.
fn unread_dirs(tree: &Snapshot) -> Vec<PathBuf> {
    let newest = |dir: &crate::watch::snapshot::snapshot::Dir| {
        let unread = dir.files().iter().filter(|file| file.fingerprint.is_none() && !file.racy);
        unread.map(|file| file.signature.mtime).max()
    };
    let mut dirs: Vec<_> =
        tree.dirs().filter_map(|dir| Some((newest(dir)?, dir.path.to_path_buf()))).collect();
    dirs.sort_unstable_by(|one, other| other.cmp(one));
    dirs.into_iter().map(|(_, path)| path).collect()
}

fn unread_files(tree: &Snapshot, dir: &std::path::Path) -> Vec<(Box<OsStr>, FileSignature)> {
    let Some(dir) = tree.dir(dir) else { return Vec::new() };
    // The content of a racy one may already be newer than its signature: the child may not have seen it.
    let unread = dir.files().iter().filter(|file| file.fingerprint.is_none() && !file.racy);
    unread.map(|file| (file.name.clone(), file.signature)).collect()
}

/// A fingerprint counts only while the snapshot still says what it said when the file was read.
fn keep(tree: &mut Snapshot, dir: &std::path::Path, read: Vec<(Box<OsStr>, FileSignature, Fingerprint)>) {
    let Some(dir) = tree.dir_mut(dir) else { return };
    for (name, signature, fingerprint) in read {
        if let Some(file) = dir.file_mut(&name).filter(|file| file.signature == signature && !file.racy) {
            file.fingerprint = Some(fingerprint);
        }
    }
}

fn locked(tree: &Mutex<Snapshot>) -> MutexGuard<'_, Snapshot> {
    tree.lock().unwrap_or_else(PoisonError::into_inner)
}
