//! A hint in, the proof out: the only reader of watched files' contents.

use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use xxhash_rust::xxh3::Xxh3;

use crate::watch::fs::read_dir::UNNOTED;
use crate::watch::fs::signature::{self, FileSignature, Kind};
use crate::watch::options::Compare;
use crate::watch::snapshot::snapshot::{Entry, Fingerprint};

/// What a look at a path proved.
#[derive(Debug)]
pub(crate) enum Comparison {
    /// It is what was known. The signature may be new, and the content read for the first time.
    Same(Entry),
    /// It differs from what was known, or nothing was known.
    Changed(Entry),
    /// There is nothing there that has content.
    Missing,
    /// It changed while it was read.
    StillChanging(Entry),
    /// It cannot be reported: the directory above does not let us look.
    Unknown,
}

/// Compares by content or by stat.
#[derive(Debug)]
pub(crate) struct FileComparer {
    how: Compare,
    limit: u64,
    buffer: Vec<u8>,
    /// Reads are not noted, as long as the files are our own.
    unnoted: OFlags,
}

impl FileComparer {
    pub(crate) fn new(how: Compare, limit: u64) -> Self {
        Self { how, limit, buffer: Vec::new(), unnoted: UNNOTED }
    }

    /// Looks at a path and proves whether it differs from what is known of it. `was_file`: it was a regular file a
    /// moment ago, so that it can be opened before it is looked at.
    ///
    /// A file whose content was never read counts as changed unless its signature proves that nobody wrote to it.
    pub(crate) fn prove(&mut self, path: &Path, known: Option<&Entry>, was_file: bool) -> Comparison {
        // Before it is looked at: whatever is written later can have left the same signature.
        let taken = SystemTime::now();
        let opened = was_file.then(|| self.open_and_read(path)).flatten();
        let (signature, read) = match opened.map_or_else(|| self.look_and_read(path), Ok) {
            Ok(found) => found,
            Err(proof) => return proof,
        };
        let Some(name) = path.file_name() else { return Comparison::Missing };
        let entry = |signature: FileSignature, fingerprint| Entry {
            name: name.into(),
            signature,
            fingerprint,
            racy: signature.is_racy(taken),
        };
        match read {
            Read::Done(signature, fingerprint) => match known {
                Some(known) if is_same_content(known, &signature, fingerprint) => {
                    Comparison::Same(entry(signature, Some(fingerprint)))
                }
                _ => Comparison::Changed(entry(signature, Some(fingerprint))),
            },
            Read::StillChanging => Comparison::StillChanging(entry(signature, None)),
            Read::Gone => Comparison::Missing,
            Read::Refused => match known {
                Some(known) if known.signature == signature && !known.racy => {
                    Comparison::Same(entry(signature, known.fingerprint))
                }
                _ => Comparison::Changed(entry(signature, None)),
            },
        }
    }

    /// The fingerprint of a file in an open directory, if it still is what its signature says, before and after.
    pub(crate) fn fingerprint_in(
        &mut self,
        dir: &OwnedFd,
        name: &OsStr,
        signature: &FileSignature,
    ) -> Option<Fingerprint> {
        if !self.reads(signature) {
            return None;
        }
        let read = match signature.kind {
            Kind::Link => Ok(link_print(rustix::fs::readlinkat(dir, name, Vec::new()).ok()?.as_bytes())),
            _ => {
                let file = self.open(dir, name).ok()?;
                self.read_open(file, signature).map(|(_, fingerprint)| fingerprint)
            }
        };
        read.ok().filter(|_| signature::look_in(dir, name).is_ok_and(|now| now == *signature))
    }

    /// What most often is all that is needed; `None` if it has to be looked at all the same.
    fn open_and_read(&mut self, path: &Path) -> Option<(FileSignature, Read)> {
        if self.how != Compare::Content {
            return None;
        }
        let file = self.open(rustix::fs::CWD, path.as_os_str()).ok()?;
        let signature = signature::look_at(&file)
            .ok()
            .filter(|signature| signature.kind == Kind::File && self.reads(signature))?;
        Some((signature, Read::of(self.read_on(file, &signature))))
    }

    fn look_and_read(&mut self, path: &Path) -> Result<(FileSignature, Read), Comparison> {
        match signature::look(path) {
            Ok(signature) if signature.kind.has_content() => {
                let read = if self.reads(&signature) { self.read(path, &signature) } else { Read::Refused };
                Ok((signature, read))
            }
            Ok(_) => Err(Comparison::Missing),
            Err(error) if is_gone(&error) => Err(Comparison::Missing),
            Err(_) => Err(Comparison::Unknown),
        }
    }

    fn reads(&self, signature: &FileSignature) -> bool {
        self.how == Compare::Content && signature.size <= self.limit && signature.kind.has_content()
    }

    fn read(&mut self, path: &Path, signature: &FileSignature) -> Read {
        if signature.kind == Kind::Link {
            return match rustix::fs::readlink(path, Vec::new()) {
                Ok(target) => Read::Done(*signature, link_print(target.as_bytes())),
                Err(_) => Read::StillChanging,
            };
        }
        let file = self.open(rustix::fs::CWD, path.as_os_str());
        Read::of(file.and_then(|file| self.read_open(file, signature)))
    }

    /// Opens a file to read it, never through a link, never waiting for a FIFO's other end.
    fn open(&mut self, dir: impl AsFd, name: &OsStr) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let mut opened = rustix::fs::openat(&dir, name, flags | self.unnoted, Mode::empty());
        if matches!(opened, Err(Errno::PERM)) && !self.unnoted.is_empty() {
            self.unnoted = OFlags::empty();
            opened = rustix::fs::openat(&dir, name, flags, Mode::empty());
        }
        match opened {
            // It has become a link since it was looked at.
            Err(Errno::LOOP) => Err(io::ErrorKind::Interrupted.into()),
            opened => Ok(opened?),
        }
    }

    /// Reads an open file to its end. `Interrupted`: it changed meanwhile, or is another file than the signature's.
    fn read_open(
        &mut self,
        file: OwnedFd,
        signature: &FileSignature,
    ) -> io::Result<(FileSignature, Fingerprint)> {
        let before = signature::look_at(&file)?;
        if before.kind != Kind::File || before.inode != signature.inode {
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.read_on(file, &before)
    }

    /// Reads an open file to its end; `before` is how it is now. `Interrupted`: it changed meanwhile.
    fn read_on(&mut self, file: OwnedFd, before: &FileSignature) -> io::Result<(FileSignature, Fingerprint)> {
        self.buffer.resize(64 << 10, 0);
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
                        // If it has grown meanwhile, the look afterwards tells.
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let after = signature::look_at(file.as_fd())?;
        if after.mtime != before.mtime || after.size != before.size || length != after.size {
            return Err(io::ErrorKind::Interrupted.into());
        }
        Ok((after, halves(hash.digest128())))
    }
}

enum Read {
    Done(FileSignature, Fingerprint),
    /// Not readable, or too large: the signature decides.
    Refused,
    Gone,
    StillChanging,
}

impl Read {
    fn of(result: io::Result<(FileSignature, Fingerprint)>) -> Self {
        match result {
            Ok((signature, fingerprint)) => Self::Done(signature, fingerprint),
            Err(error) if is_gone(&error) => Self::Gone,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Self::StillChanging,
            Err(_) => Self::Refused,
        }
    }
}

/// Same bytes; where none were read before, only a signature that no write can have left proves it.
fn is_same_content(known: &Entry, signature: &FileSignature, fingerprint: Fingerprint) -> bool {
    match known.fingerprint {
        Some(known) => known == fingerprint,
        None => known.signature == *signature && !known.racy,
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// A link never looks like a file that holds the same bytes.
fn link_print(target: &[u8]) -> Fingerprint {
    halves(!xxhash_rust::xxh3::xxh3_128(target))
}

fn halves(fingerprint: u128) -> Fingerprint {
    [(fingerprint >> 64) as u64, fingerprint as u64]
}
