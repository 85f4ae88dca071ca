//! Comparison of one path with the snapshot. The only code that reads the content of watched files.

use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use xxhash_rust::xxh3::Xxh3;

use crate::watch::fs::{FileKind, FileSignature, NO_ATIME};
use crate::watch::options::Compare;

use super::snapshot::{Fingerprint, SnapshotFile};

/// Size of the read buffer.
const READ_BUFFER: usize = 64 << 10;

/// How files are compared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CompareOptions {
    pub(crate) how: Compare,
    /// Maximum size in bytes of a file that is compared by content.
    pub(crate) content_limit: u64,
}

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
    ) -> Comparison {
        // Before the signature is read, because any later write may leave the same signature.
        let read_at = SystemTime::now();
        let opened = if was_file { self.open_and_read(path) } else { None };
        let (signature, read) = match opened.map_or_else(|| self.examine_and_read(path), Ok) {
            Ok(found) => found,
            Err(result) => return result,
        };
        let Some(name) = path.file_name() else { return Comparison::Missing };
        let file = |signature, fingerprint| SnapshotFile {
            fingerprint,
            ..SnapshotFile::new(name, signature, read_at)
        };
        match read {
            ReadResult::Done(signature, found) => match known {
                Some(known) if is_same_content(known, &signature, found) => {
                    Comparison::Same(file(signature, Some(found)))
                }
                _ => Comparison::Changed(file(signature, Some(found))),
            },
            ReadResult::StillChanging => Comparison::StillChanging(file(signature, None)),
            ReadResult::Gone => Comparison::Missing,
            ReadResult::NotRead => match known {
                Some(known) if known.is_unchanged(&signature) => {
                    Comparison::Same(file(signature, known.fingerprint))
                }
                _ => Comparison::Changed(file(signature, None)),
            },
        }
    }

    /// The fingerprint of a file in an open directory, if its signature is the same before and after.
    pub(super) fn fingerprint_in(
        &mut self,
        dir: &OwnedFd,
        name: &OsStr,
        signature: &FileSignature,
    ) -> Option<Fingerprint> {
        if !self.reads(signature) {
            return None;
        }
        let fingerprint = if signature.kind == FileKind::Link {
            link_fingerprint(rustix::fs::readlinkat(dir, name, Vec::new()).ok()?.as_bytes())
        } else {
            let file = self.open(dir, name).ok()?;
            self.read_checked(file, signature).ok()?.1
        };
        let is_unchanged = FileSignature::of_entry(dir, name).is_ok_and(|now| now == *signature);
        is_unchanged.then_some(fingerprint)
    }

    /// Opens and reads a regular file: the common case. Returns `None` if the path is to be examined first.
    fn open_and_read(&mut self, path: &Path) -> Option<(FileSignature, ReadResult)> {
        if self.options.how != Compare::Content {
            return None;
        }
        let file = self.open(rustix::fs::CWD, path.as_os_str()).ok()?;
        let signature = FileSignature::of_open(&file).ok()?;
        if signature.kind != FileKind::File || !self.reads(&signature) {
            return None;
        }
        Some((signature, ReadResult::of(self.read_open(file, &signature))))
    }

    fn examine_and_read(&mut self, path: &Path) -> Result<(FileSignature, ReadResult), Comparison> {
        match FileSignature::of_path(path) {
            Ok(signature) if signature.has_content() => {
                let read =
                    if self.reads(&signature) { self.read(path, &signature) } else { ReadResult::NotRead };
                Ok((signature, read))
            }
            Ok(_) => Err(Comparison::Missing),
            Err(error) if is_gone(&error) => Err(Comparison::Missing),
            Err(_) => Err(Comparison::Unknown),
        }
    }

    /// Whether the content of a file with this signature is to be read.
    fn reads(&self, signature: &FileSignature) -> bool {
        self.options.how == Compare::Content
            && signature.size <= self.options.content_limit
            && signature.has_content()
    }

    fn read(&mut self, path: &Path, signature: &FileSignature) -> ReadResult {
        if signature.kind == FileKind::Link {
            return match rustix::fs::readlink(path, Vec::new()) {
                Ok(target) => ReadResult::Done(*signature, link_fingerprint(target.as_bytes())),
                Err(_) => ReadResult::StillChanging,
            };
        }
        let file = self.open(rustix::fs::CWD, path.as_os_str());
        ReadResult::of(file.and_then(|file| self.read_checked(file, signature)))
    }

    /// Opens a file to read it. Follows no symbolic link, and does not wait for the other end of a FIFO.
    fn open(&mut self, dir: impl AsFd, name: &OsStr) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
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

    /// Reads an open file to its end.
    ///
    /// # Errors
    /// `Interrupted` if the file changes meanwhile, or is not the one with this signature.
    fn read_checked(
        &mut self,
        file: OwnedFd,
        signature: &FileSignature,
    ) -> io::Result<(FileSignature, Fingerprint)> {
        let before = FileSignature::of_open(&file)?;
        if before.kind != FileKind::File || before.inode != signature.inode {
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.read_open(file, &before)
    }

    /// Reads an open file to its end. `before` is its current signature.
    ///
    /// # Errors
    /// `Interrupted` if the file changes meanwhile.
    fn read_open(
        &mut self,
        file: OwnedFd,
        before: &FileSignature,
    ) -> io::Result<(FileSignature, Fingerprint)> {
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
        Ok((after, Fingerprint::from_hash(hash.digest128())))
    }
}

enum ReadResult {
    Done(FileSignature, Fingerprint),
    /// The file is not readable or too large, so the signature decides.
    NotRead,
    Gone,
    StillChanging,
}

impl ReadResult {
    fn of(result: io::Result<(FileSignature, Fingerprint)>) -> Self {
        match result {
            Ok((signature, fingerprint)) => Self::Done(signature, fingerprint),
            Err(error) if is_gone(&error) => Self::Gone,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Self::StillChanging,
            Err(_) => Self::NotRead,
        }
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
    Fingerprint::from_hash(!xxhash_rust::xxh3::xxh3_128(target))
}
