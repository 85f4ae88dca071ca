//! What the file system says of a path without opening it. Never follows a symbolic link.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, FileType, Stat};

/// The kinds of things a path can be, as far as they matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A regular file.
    File,
    /// A symbolic link, itself: its content is the path it holds.
    Link,
    /// A directory.
    Dir,
    /// A FIFO, a socket, a device: has no content and is never opened.
    Other,
}

impl Kind {
    /// Whether it has content that can change.
    pub(crate) fn has_content(self) -> bool {
        matches!(self, Self::File | Self::Link)
    }
}

/// The facts by which two looks at one path are compared. They are compared for equality only: an older time is
/// as much a difference as a newer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileSignature {
    pub(crate) size: u64,
    pub(crate) inode: u64,
    /// Nanoseconds since the epoch.
    pub(crate) mtime: i64,
    /// Nanoseconds since the epoch; nobody can set it, so it also betrays a write whose mtime was set back.
    pub(crate) ctime: i64,
    pub(crate) kind: Kind,
    /// More than one name leads to it: a new name then does not announce a close.
    pub(crate) linked: bool,
}

/// Kernels before 6.13 signature files by the tick of the clock, up to 10 ms long: two writes within one tick
/// look the same.
const TICK: Duration = Duration::from_millis(20);

impl FileSignature {
    /// Only that it is there, and as what.
    pub(crate) fn presence(self) -> Self {
        Self { size: 0, inode: 0, mtime: 0, ctime: 0, linked: false, ..self }
    }

    /// Whether nothing was written between the two: an attribute may have changed.
    pub(crate) fn is_same_write(&self, other: &Self) -> bool {
        (self.kind, self.inode, self.size, self.mtime) == (other.kind, other.inode, other.size, other.mtime)
    }

    /// Whether a later write could have left the very same signature, if this one was taken at `taken`: git's
    /// "racily clean".
    pub(crate) fn is_racy(&self, taken: SystemTime) -> bool {
        nanoseconds(taken).saturating_sub(TICK.as_nanos() as i64) <= self.ctime
    }
}

/// A point in time as in a [`FileSignature`].
pub(crate) fn nanoseconds(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
    }
}

/// Looks at a path.
///
/// # Errors
/// What `lstat` says.
pub(crate) fn look(path: &Path) -> io::Result<FileSignature> {
    Ok(rustix::fs::lstat(path).map(FileSignature::from)?)
}

/// Looks at a name in an open directory: several times cheaper than by its whole path.
///
/// # Errors
/// What `fstatat` says.
pub(crate) fn look_in(dir: impl AsFd, name: &OsStr) -> io::Result<FileSignature> {
    Ok(rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map(FileSignature::from)?)
}

/// Looks at something open.
///
/// # Errors
/// What `fstat` says.
pub(crate) fn look_at(open: impl AsFd) -> io::Result<FileSignature> {
    Ok(rustix::fs::fstat(open).map(FileSignature::from)?)
}

impl From<Stat> for FileSignature {
    // The fields' types differ between systems.
    #[allow(clippy::unnecessary_cast)]
    fn from(found: Stat) -> Self {
        let kind = match FileType::from_raw_mode(found.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Symlink => Kind::Link,
            FileType::Directory => Kind::Dir,
            _ => Kind::Other,
        };
        Self {
            size: found.st_size as u64,
            inode: found.st_ino as u64,
            mtime: joined(found.st_mtime as i64, found.st_mtime_nsec as i64),
            ctime: joined(found.st_ctime as i64, found.st_ctime_nsec as i64),
            kind,
            linked: found.st_nlink as u64 > 1,
        }
    }
}

/// Wraps beyond the year 2262: stamps are compared for equality only.
fn joined(seconds: i64, nanoseconds: i64) -> i64 {
    seconds.wrapping_mul(1_000_000_000).wrapping_add(nanoseconds)
}
