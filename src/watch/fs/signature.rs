//! File metadata by which a later look at the same path is compared. Symbolic links are never followed.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, FileType, Stat};

/// Kind of a directory entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// A regular file.
    File,
    /// A symbolic link. Its content is the path that it holds.
    Link,
    /// A directory.
    Dir,
    /// A FIFO, a socket or a device. It has no content and is never opened.
    Other,
}

impl FileKind {
    /// Whether the entry has content that can change.
    pub(crate) fn has_content(self) -> bool {
        matches!(self, Self::File | Self::Link)
    }
}

/// Metadata of a file. Compared for equality only, because an older time is a difference too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileSignature {
    pub(crate) size: u64,
    pub(crate) inode: u64,
    /// Nanoseconds since the epoch.
    pub(crate) mtime: i64,
    /// Nanoseconds since the epoch. No program can set it, so it also shows a write after which mtime was set
    /// back.
    ctime: i64,
    pub(crate) kind: FileKind,
    /// A new hard link is complete at once: no close event follows.
    pub(crate) has_other_names: bool,
}

/// Maximum difference between the time of a write and the file's ctime. Kernels before 6.13 use the time of
/// the last timer tick, up to 10 ms ago. Two writes within one tick leave the same signature.
const MAX_CTIME_LAG: Duration = Duration::from_millis(20);

impl FileSignature {
    /// Reads the metadata of a path.
    pub(crate) fn of_path(path: &Path) -> io::Result<Self> {
        Ok(rustix::fs::lstat(path).map(Self::from)?)
    }

    /// Reads the metadata of a name in an open directory. Several times cheaper than by the whole path.
    pub(crate) fn of_entry(dir: impl AsFd, name: &OsStr) -> io::Result<Self> {
        Ok(rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map(Self::from)?)
    }

    /// Reads the metadata of an open file or directory.
    pub(crate) fn of_open(open: impl AsFd) -> io::Result<Self> {
        Ok(rustix::fs::fstat(open).map(Self::from)?)
    }

    /// Whether the entry has content that can change.
    pub(crate) fn has_content(&self) -> bool {
        self.kind.has_content()
    }

    /// Whether the entry is an empty regular file.
    pub(crate) fn is_empty_file(&self) -> bool {
        self.kind == FileKind::File && self.size == 0
    }

    /// The signature reduced to existence and kind.
    pub(crate) fn existence(self) -> Self {
        Self { size: 0, inode: 0, mtime: 0, ctime: 0, has_other_names: false, ..self }
    }

    /// Whether no write lies between the two signatures; attributes may differ.
    pub(crate) fn is_same_write(&self, other: &Self) -> bool {
        (self.kind, self.inode, self.size, self.mtime) == (other.kind, other.inode, other.size, other.mtime)
    }

    /// Whether this is `earlier`'s file with more bytes in it.
    pub(crate) fn has_grown_since(&self, earlier: &Self) -> bool {
        self.inode == earlier.inode && self.size > earlier.size
    }

    /// Whether the file last changed before `time`, in nanoseconds since the epoch.
    pub(crate) fn changed_before(&self, time: i64) -> bool {
        self.ctime < time
    }

    /// Whether a write after `read_at`, the time when this signature was read, could have left the same
    /// signature. Git calls such a file "racily clean".
    pub(crate) fn is_racy(&self, read_at: SystemTime) -> bool {
        nanoseconds(read_at).saturating_sub(MAX_CTIME_LAG.as_nanos() as i64) <= self.ctime
    }

    #[cfg(test)]
    pub(crate) fn for_test(kind: FileKind, size: u64) -> Self {
        Self { size, inode: 2, mtime: size as i64, ctime: size as i64, kind, has_other_names: false }
    }
}

/// Nanoseconds from the epoch to `time`.
pub(crate) fn nanoseconds(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
    }
}

impl From<Stat> for FileSignature {
    // The types of these fields differ between systems.
    #[allow(clippy::unnecessary_cast)]
    fn from(stat: Stat) -> Self {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => FileKind::File,
            FileType::Symlink => FileKind::Link,
            FileType::Directory => FileKind::Dir,
            _ => FileKind::Other,
        };
        Self {
            size: stat.st_size as u64,
            inode: stat.st_ino as u64,
            mtime: join_nanoseconds(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            ctime: join_nanoseconds(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
            kind,
            has_other_names: stat.st_nlink as u64 > 1,
        }
    }
}

/// Wraps after the year 2262, which does no harm because signatures are compared for equality.
fn join_nanoseconds(seconds: i64, nanoseconds: i64) -> i64 {
    seconds.wrapping_mul(1_000_000_000).wrapping_add(nanoseconds)
}
