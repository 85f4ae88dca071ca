//! The only code that reads the content of watched files: to compare one path with the snapshot, and in the
//! background, so that the first save without a change is recognized as such.

use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use xxhash_rust::xxh3::Xxh3;

use super::snapshot::{Fingerprint, Snapshot, SnapshotDir, SnapshotFile};
use crate::sync;
use crate::watch::fs::{FileKind, FileSignature, Links, NO_ATIME, open_dir};
use crate::watch::options::Compare;

const READ_BUFFER: usize = 64 << 10;
/// Maximum number of bytes read in the background.
const MAX_BYTES: u64 = 256 << 20;
/// Maximum size of a file read in the background, because source files are small.
const MAX_FILE_SIZE: u64 = 4 << 20;
/// Time of work after which the thread pauses for as long, to leave the CPU to a child that is starting.
const WORK_SLICE: Duration = Duration::from_millis(1);
const MAX_PAUSE: Duration = Duration::from_millis(40);
/// Delay before the first read, because a child that is being started may need the CPU.
const START_DELAY: Duration = Duration::from_millis(3);

/// How files are compared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CompareOptions {
    pub(crate) how: Compare,
    /// Maximum size in bytes of a file that is compared by content.
    pub(crate) content_limit: u64,
}

/// The signature after the read, and the fingerprint. Without them, the error decides on the [`Comparison`].
type ReadResult = io::Result<(FileSignature, Fingerprint)>;

/// The result of a comparison.
#[derive(Debug)]
pub(crate) enum Comparison {
    /// The file is unchanged. Its signature may be new, or its content was read for the first time.
    Same(SnapshotFile),
    /// The file has changed, or the snapshot did not have it.
    Changed(SnapshotFile),
    /// The path is gone or has no content.
    Missing,
    /// The file changed while it was read.
    StillChanging(SnapshotFile),
    /// The path cannot be examined, because its directory is not accessible.
    Unknown,
}

/// Compares files by content or by signature.
#[derive(Debug)]
pub(crate) struct FileComparer {
    options: CompareOptions,
    buffer: Vec<u8>,
    /// [`NO_ATIME`] until the kernel refuses it, as it does for files of other users.
    no_atime: OFlags,
}

impl FileComparer {
    pub(crate) fn new(options: CompareOptions) -> Self {
        Self { options, buffer: Vec::new(), no_atime: NO_ATIME }
    }

    /// Compares a path with the file that the snapshot has for it.
    ///
    /// `was_file`: the path was a regular file a moment ago, so it can be opened without an `lstat` first. A
    /// file that was never read counts as changed, unless its signature proves that it was not written.
    pub(crate) fn compare(
        &mut self,
        path: &Path,
        known: Option<&SnapshotFile>,
        was_file: bool,
        links: Links,
    ) -> Comparison {
        // Before the signature is read, because any later write may leave the same signature.
        let read_at = SystemTime::now();
        let opened = if was_file { self.open_and_read(path, links) } else { None };
        let (signature, read) = match opened {
            Some(found) => found,
            None => match FileSignature::of_path_with(path, links) {
                Ok(signature) if signature.has_content() => {
                    (signature, self.read(rustix::fs::CWD, path.as_os_str(), &signature, links))
                }
                Ok(_) => return Comparison::Missing,
                Err(error) if is_gone(&error) => return Comparison::Missing,
                Err(_) => return Comparison::Unknown,
            },
        };
        let Some(name) = path.file_name() else { return Comparison::Missing };
        let file = |signature, fingerprint| SnapshotFile {
            fingerprint,
            ..SnapshotFile::new(name, signature, links, read_at)
        };
        match read {
            Ok((signature, found)) => {
                let is_same = known.is_some_and(|known| is_same_content(known, &signature, found));
                let file = file(signature, Some(found));
                if is_same { Comparison::Same(file) } else { Comparison::Changed(file) }
            }
            Err(error) if is_gone(&error) => Comparison::Missing,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                Comparison::StillChanging(file(signature, None))
            }
            // The file is not readable or too large, so the signature decides.
            Err(_) => match known.filter(|known| known.is_unchanged(&signature)) {
                Some(known) => Comparison::Same(file(signature, known.fingerprint)),
                None => Comparison::Changed(file(signature, None)),
            },
        }
    }

    /// The fingerprint of a file in an open directory, if its signature is the same before and after.
    fn fingerprint(
        &mut self,
        dir: &OwnedFd,
        name: &OsStr,
        signature: &FileSignature,
        links: Links,
    ) -> Option<Fingerprint> {
        let (_, fingerprint) = self.read(dir, name, signature, links).ok()?;
        let is_unchanged = FileSignature::of_entry(dir, name, links).is_ok_and(|now| now == *signature);
        is_unchanged.then_some(fingerprint)
    }

    /// Opens and reads a regular file: the common case. Returns `None` if the path is to be examined first.
    fn open_and_read(&mut self, path: &Path, links: Links) -> Option<(FileSignature, ReadResult)> {
        if self.options.how != Compare::Content {
            return None;
        }
        let file = self.open(rustix::fs::CWD, path.as_os_str(), links).ok()?;
        let signature = FileSignature::of_open(&file).ok()?;
        if signature.kind != FileKind::File || !self.reads(&signature) {
            return None;
        }
        Some((signature, self.read_open(file, &signature)))
    }

    /// Whether the content of a file with this signature is to be read.
    fn reads(&self, signature: &FileSignature) -> bool {
        self.options.how == Compare::Content
            && signature.size <= self.options.content_limit
            && signature.has_content()
    }

    /// Reads a file by its name in a directory.
    ///
    /// # Errors
    /// `Interrupted` if the file changes meanwhile, or is not the one with this signature.
    fn read(&mut self, dir: impl AsFd, name: &OsStr, signature: &FileSignature, links: Links) -> ReadResult {
        if !self.reads(signature) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        if signature.kind == FileKind::Link {
            let target = rustix::fs::readlinkat(dir, name, Vec::new());
            let target = target.map_err(|_| io::ErrorKind::Interrupted)?;
            return Ok((*signature, link_fingerprint(target.as_bytes())));
        }
        let file = self.open(dir, name, links)?;
        let before = FileSignature::of_open(&file)?;
        if before.kind != FileKind::File || before.inode != signature.inode {
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.read_open(file, &before)
    }

    /// Opens a file to read it. Does not wait for the other end of a FIFO.
    fn open(&mut self, dir: impl AsFd, name: &OsStr, links: Links) -> io::Result<OwnedFd> {
        let follow = if links == Links::Keep { OFlags::NOFOLLOW } else { OFlags::empty() };
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC | follow;
        let mut opened = rustix::fs::openat(&dir, name, flags | self.no_atime, Mode::empty());
        if matches!(opened, Err(Errno::PERM)) && !self.no_atime.is_empty() {
            self.no_atime = OFlags::empty();
            opened = rustix::fs::openat(&dir, name, flags, Mode::empty());
        }
        match opened {
            // A symbolic link has replaced the file.
            Err(Errno::LOOP) => Err(io::ErrorKind::Interrupted.into()),
            opened => Ok(opened?),
        }
    }

    /// Reads an open file to its end. `before` is its current signature.
    ///
    /// # Errors
    /// `Interrupted` if the file changes meanwhile.
    fn read_open(&mut self, file: OwnedFd, before: &FileSignature) -> ReadResult {
        self.buffer.resize(READ_BUFFER, 0);
        let mut file = std::fs::File::from(file);
        let mut hash = Xxh3::new();
        let mut length = 0u64;
        loop {
            match file.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(count) => {
                    hash.update(&self.buffer[..count]);
                    length += count as u64;
                    if length == before.size {
                        // The second signature shows whether the file has grown meanwhile.
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let after = FileSignature::of_open(file.as_fd())?;
        if after.mtime != before.mtime || after.size != before.size || length != after.size {
            return Err(io::ErrorKind::Interrupted.into());
        }
        Ok((after, hash.digest128().to_ne_bytes()))
    }
}

/// Whether the content is the same. If it was not read before, an unchanged signature proves that.
fn is_same_content(known: &SnapshotFile, signature: &FileSignature, found: Fingerprint) -> bool {
    known.fingerprint.map_or_else(|| known.is_unchanged(signature), |known| known == found)
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The fingerprint of a symbolic link. Inverted, so that it differs from that of a file with the same bytes.
fn link_fingerprint(target: &[u8]) -> Fingerprint {
    (!xxhash_rust::xxh3::xxh3_128(target)).to_ne_bytes()
}

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
        let unread: Vec<_> = {
            let snapshot = sync::lock(&self.snapshot);
            let files = snapshot.dir(path).map_or(&[][..], |dir| &dir.files);
            files.iter().filter(needs_read).cloned().collect()
        };
        let Ok(open) = open_dir(path) else { return true };
        let mut read = Vec::with_capacity(unread.len());
        for SnapshotFile { name, signature, links, .. } in unread {
            if self.stop.load(Ordering::Relaxed) || self.bytes_left < signature.size {
                return false;
            }
            self.bytes_left -= signature.size;
            if let Some(fingerprint) = self.comparer.fingerprint(&open, &name, &signature, links) {
                read.push((name, signature, fingerprint));
            }
            if self.slice_start.elapsed() > WORK_SLICE {
                std::thread::sleep(self.slice_start.elapsed().min(MAX_PAUSE));
                self.slice_start = Instant::now();
            }
        }
        let mut snapshot = sync::lock(&self.snapshot);
        let Some(dir) = snapshot.dir_mut(path) else { return true };
        for (name, signature, fingerprint) in read {
            // The file may have changed since it was read.
            if let Some(file) = dir.file_mut(&name).filter(|file| file.is_unchanged(&signature)) {
                file.fingerprint = Some(fingerprint);
            }
        }
        true
    }
}

/// A racy file is not read: its content may be newer than what the child has seen.
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
