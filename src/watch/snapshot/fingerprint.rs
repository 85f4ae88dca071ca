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
use crate::watch::fs::signature::{self, Kind, Stamp};
use crate::watch::options::Compare;
use crate::watch::snapshot::snapshot::{Entry, Print};

/// What a look at a path proved.
#[derive(Debug)]
pub(crate) enum Proof {
    /// It is what was known. The stamp may be new, and the content read for the first time.
    Same(Entry),
    /// It differs from what was known, or nothing was known.
    Changed(Entry),
    /// There is nothing there that has content.
    Missing,
    /// It changed while it was read.
    Unsettled(Entry),
    /// It cannot be told: the directory above does not let us look.
    Unknown,
}

/// Compares by content or by stat.
#[derive(Debug)]
pub(crate) struct Comparer {
    how: Compare,
    limit: u64,
    buffer: Vec<u8>,
    /// Reads are not noted, as long as the files are our own.
    unnoted: OFlags,
}

impl Comparer {
    pub(crate) fn new(how: Compare, limit: u64) -> Self {
        Self { how, limit, buffer: Vec::new(), unnoted: UNNOTED }
    }

    /// Looks at a path and proves whether it differs from what is known of it. `was_file`: it was a regular file a
    /// moment ago, so that it can be opened before it is looked at.
    ///
    /// A file whose content was never read counts as changed unless its stamp proves that nobody wrote to it.
    pub(crate) fn prove(&mut self, path: &Path, known: Option<&Entry>, was_file: bool) -> Proof {
        // Before it is looked at: whatever is written later can have left the same stamp.
        let taken = SystemTime::now();
        let opened = was_file.then(|| self.open_and_read(path)).flatten();
        let (stamp, read) = match opened.map_or_else(|| self.look_and_read(path), Ok) {
            Ok(found) => found,
            Err(proof) => return proof,
        };
        let Some(name) = path.file_name() else { return Proof::Missing };
        let entry =
            |stamp: Stamp, print| Entry { name: name.into(), stamp, print, racy: stamp.is_racy(taken) };
        match read {
            Read::Done(stamp, print) => match known {
                Some(known) if is_same_content(known, &stamp, print) => {
                    Proof::Same(entry(stamp, Some(print)))
                }
                _ => Proof::Changed(entry(stamp, Some(print))),
            },
            Read::Unsettled => Proof::Unsettled(entry(stamp, None)),
            Read::Gone => Proof::Missing,
            Read::Refused => match known {
                Some(known) if known.stamp == stamp && !known.racy => Proof::Same(entry(stamp, known.print)),
                _ => Proof::Changed(entry(stamp, None)),
            },
        }
    }

    /// The fingerprint of a file in an open directory, if it still is what its stamp says, before and after.
    pub(crate) fn print_in(&mut self, dir: &OwnedFd, name: &OsStr, stamp: &Stamp) -> Option<Print> {
        if !self.reads(stamp) {
            return None;
        }
        let read = match stamp.kind {
            Kind::Link => Ok(link_print(rustix::fs::readlinkat(dir, name, Vec::new()).ok()?.as_bytes())),
            _ => {
                let file = self.open(dir, name).ok()?;
                self.read_open(file, stamp).map(|(_, print)| print)
            }
        };
        read.ok().filter(|_| signature::look_in(dir, name).is_ok_and(|now| now == *stamp))
    }

    /// What most often is all that is needed; `None` if it has to be looked at all the same.
    fn open_and_read(&mut self, path: &Path) -> Option<(Stamp, Read)> {
        if self.how != Compare::Content {
            return None;
        }
        let file = self.open(rustix::fs::CWD, path.as_os_str()).ok()?;
        let stamp =
            signature::look_at(&file).ok().filter(|stamp| stamp.kind == Kind::File && self.reads(stamp))?;
        Some((stamp, Read::of(self.read_on(file, &stamp))))
    }

    fn look_and_read(&mut self, path: &Path) -> Result<(Stamp, Read), Proof> {
        match signature::look(path) {
            Ok(stamp) if stamp.kind.has_content() => {
                let read = if self.reads(&stamp) { self.read(path, &stamp) } else { Read::Refused };
                Ok((stamp, read))
            }
            Ok(_) => Err(Proof::Missing),
            Err(error) if is_gone(&error) => Err(Proof::Missing),
            Err(_) => Err(Proof::Unknown),
        }
    }

    fn reads(&self, stamp: &Stamp) -> bool {
        self.how == Compare::Content && stamp.size <= self.limit && stamp.kind.has_content()
    }

    fn read(&mut self, path: &Path, stamp: &Stamp) -> Read {
        if stamp.kind == Kind::Link {
            return match rustix::fs::readlink(path, Vec::new()) {
                Ok(target) => Read::Done(*stamp, link_print(target.as_bytes())),
                Err(_) => Read::Unsettled,
            };
        }
        let file = self.open(rustix::fs::CWD, path.as_os_str());
        Read::of(file.and_then(|file| self.read_open(file, stamp)))
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

    /// Reads an open file to its end. `Interrupted`: it changed meanwhile, or is another file than the stamp's.
    fn read_open(&mut self, file: OwnedFd, stamp: &Stamp) -> io::Result<(Stamp, Print)> {
        let before = signature::look_at(&file)?;
        if before.kind != Kind::File || before.inode != stamp.inode {
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.read_on(file, &before)
    }

    /// Reads an open file to its end; `before` is how it is now. `Interrupted`: it changed meanwhile.
    fn read_on(&mut self, file: OwnedFd, before: &Stamp) -> io::Result<(Stamp, Print)> {
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
    Done(Stamp, Print),
    /// Not readable, or too large: the stamp decides.
    Refused,
    Gone,
    Unsettled,
}

impl Read {
    fn of(result: io::Result<(Stamp, Print)>) -> Self {
        match result {
            Ok((stamp, print)) => Self::Done(stamp, print),
            Err(error) if is_gone(&error) => Self::Gone,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Self::Unsettled,
            Err(_) => Self::Refused,
        }
    }
}

/// Same bytes; where none were read before, only a stamp that no write can have left proves it.
fn is_same_content(known: &Entry, stamp: &Stamp, print: Print) -> bool {
    match known.print {
        Some(known) => known == print,
        None => known.stamp == *stamp && !known.racy,
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// A link never looks like a file that holds the same bytes.
fn link_print(target: &[u8]) -> Print {
    halves(!xxhash_rust::xxh3::xxh3_128(target))
}

fn halves(print: u128) -> Print {
    [(print >> 64) as u64, print as u64]
}
