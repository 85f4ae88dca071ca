//! Background reading of files, so that the first save without a change is recognized as such.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::sync;
use crate::watch::fs::{FileSignature, open_dir};
use crate::watch::options::Compare;

use super::fingerprint::{CompareOptions, FileComparer};
use super::snapshot::{Fingerprint, Snapshot, SnapshotDir, SnapshotFile};

/// Maximum number of bytes read in the background.
const MAX_BYTES: u64 = 256 << 20;
/// Maximum size of a file read in the background, because source files are small.
const MAX_FILE_SIZE: u64 = 4 << 20;
/// Time of work after which the thread pauses for as long, to leave the CPU to a child that is starting.
const WORK_SLICE: Duration = Duration::from_millis(1);
/// Maximum pause.
const MAX_PAUSE: Duration = Duration::from_millis(40);
/// Delay before the first read, because a child that is being started may need the CPU.
const START_DELAY: Duration = Duration::from_millis(3);

/// The thread that reads files in the background. Dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Prefetch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Prefetch {
    /// Starts to read the files of the snapshot that have no fingerprint.
    pub(crate) fn start(snapshot: Arc<Mutex<Snapshot>>, options: CompareOptions) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        if options.how != Compare::Content {
            return Self { stop, thread: None };
        }
        let reader = Reader {
            snapshot,
            comparer: FileComparer::new(CompareOptions {
                content_limit: options.content_limit.min(MAX_FILE_SIZE),
                ..options
            }),
            stop: Arc::clone(&stop),
            bytes_left: MAX_BYTES,
            slice_start: Instant::now(),
        };
        // Without the thread the first save of each file counts as a change, which is late but never wrong.
        let thread = std::thread::Builder::new().name("devrun-read".into()).spawn(|| reader.run()).ok();
        Self { stop, thread }
    }

    /// Whether the thread has ended.
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

/// The state of the thread.
struct Reader {
    snapshot: Arc<Mutex<Snapshot>>,
    comparer: FileComparer,
    stop: Arc<AtomicBool>,
    bytes_left: u64,
    slice_start: Instant,
}

impl Reader {
    fn run(mut self) {
        std::thread::sleep(START_DELAY);
        self.slice_start = Instant::now();
        // A variable, because a lock taken in the head of a loop is held for the whole loop.
        let dirs = dirs_to_read(&sync::lock(&self.snapshot));
        for dir in dirs {
            if !self.read_dir(&dir) {
                return;
            }
        }
    }

    /// Reads the files of one directory. Returns whether to go on.
    fn read_dir(&mut self, path: &Path) -> bool {
        let unread = files_to_read(&sync::lock(&self.snapshot), path);
        let Ok(open) = open_dir(path) else { return true };
        let mut read = Vec::with_capacity(unread.len());
        for (name, signature) in unread {
            if self.stop.load(Ordering::Relaxed) || self.bytes_left < signature.size {
                return false;
            }
            self.bytes_left -= signature.size;
            if let Some(fingerprint) = self.comparer.fingerprint_in(&open, &name, &signature) {
                read.push((name, signature, fingerprint));
            }
            if self.slice_start.elapsed() > WORK_SLICE {
                std::thread::sleep(self.slice_start.elapsed().min(MAX_PAUSE));
                self.slice_start = Instant::now();
            }
        }
        store(&mut sync::lock(&self.snapshot), path, read);
        true
    }
}

/// The content of a racy file may be newer than its signature, and the child may not have seen it. So it is
/// not read.
fn needs_read(file: &&SnapshotFile) -> bool {
    file.fingerprint.is_none() && !file.is_racy
}

/// The directories with files to read. The most recently changed come first, because they are the next to be
/// saved.
fn dirs_to_read(snapshot: &Snapshot) -> Vec<PathBuf> {
    let newest = |dir: &SnapshotDir| {
        let unread = dir.files.iter().filter(needs_read);
        unread.map(|file| file.signature.mtime).max()
    };
    let mut dirs: Vec<_> =
        snapshot.dirs().filter_map(|dir| Some((newest(dir)?, dir.path.to_path_buf()))).collect();
    dirs.sort_unstable_by(|one, other| other.cmp(one));
    dirs.into_iter().map(|(_, path)| path).collect()
}

fn files_to_read(snapshot: &Snapshot, dir: &Path) -> Vec<(Box<OsStr>, FileSignature)> {
    let Some(dir) = snapshot.dir(dir) else { return Vec::new() };
    let unread = dir.files.iter().filter(needs_read);
    unread.map(|file| (file.name.clone(), file.signature)).collect()
}

fn store(snapshot: &mut Snapshot, dir: &Path, read: Vec<(Box<OsStr>, FileSignature, Fingerprint)>) {
    let Some(dir) = snapshot.dir_mut(dir) else { return };
    for (name, signature, fingerprint) in read {
        // The file may have changed since it was read.
        if let Some(file) = dir.file_mut(&name).filter(|file| file.is_unchanged(&signature)) {
            file.fingerprint = Some(fingerprint);
        }
    }
}
