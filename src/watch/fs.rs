//! File system access and path handling without policy.
//!
//! Every path of the watch module is absolute and normalized: no `.`, no `..`, no repeated slash. So bytes
//! can be hashed and compared directly. `Path` compares component by component, which costs several times as
//! much.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

/// Set of paths. Look up with [`Path::as_os_str`].
pub(crate) type PathSet = HashSet<OsString>;

/// Map with paths as keys. Look up with [`Path::as_os_str`].
pub(crate) type PathMap<T> = HashMap<OsString, T>;

/// Splits a path into its directory and its last component; `None` for `/`.
pub(crate) fn split(path: &Path) -> Option<(&Path, &OsStr)> {
    let bytes = path.as_os_str().as_bytes();
    let slash = bytes.iter().rposition(|byte| *byte == b'/')?;
    let (dir, name) = (&bytes[..slash.max(1)], &bytes[slash + 1..]);
    (!name.is_empty()).then(|| (Path::new(OsStr::from_bytes(dir)), OsStr::from_bytes(name)))
}

/// Whether `path` is `dir` or lies below it.
pub(crate) fn starts_with(path: &Path, dir: &Path) -> bool {
    let rest = path.as_os_str().as_bytes().strip_prefix(dir.as_os_str().as_bytes());
    rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/' || dir.as_os_str() == "/")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    File,
    /// A symbolic link. Its content is the path that it holds.
    Link,
    Dir,
    /// A FIFO, a socket or a device. It has no content and is never opened.
    Other,
}

impl FileKind {
    fn of(kind: FileType) -> Self {
        match kind {
            FileType::RegularFile => Self::File,
            FileType::Symlink => Self::Link,
            FileType::Directory => Self::Dir,
            _ => Self::Other,
        }
    }

    /// Whether the entry has content that can change.
    pub(crate) fn has_content(self) -> bool {
        matches!(self, Self::File | Self::Link)
    }
}

/// What a path stands for if its last component is a symbolic link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// The link itself. Its content is the path that it holds.
    Keep,
    /// The file or directory to which the link leads. So it is with the files that the user names.
    Follow,
}

/// Metadata of a file. Compared for equality only, because an older time is a difference too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileSignature {
    pub(crate) size: u64,
    pub(crate) inode: u64,
    /// Nanoseconds since the epoch.
    pub(crate) mtime: i64,
    /// Nanoseconds since the epoch. No program can set it, so it shows a write whose mtime was set back.
    ctime: i64,
    pub(crate) kind: FileKind,
    /// A new hard link is complete at once: no close event follows.
    pub(crate) has_other_names: bool,
}

/// Maximum difference between the time of a write and the file's ctime. Kernels before 6.13 use the time of
/// the last timer tick, up to 10 ms ago. Two writes within one tick leave the same signature.
const MAX_CTIME_LAG: Duration = Duration::from_millis(20);

impl FileSignature {
    /// Reads the metadata of a path, and of a symbolic link itself.
    pub(crate) fn of_path(path: &Path) -> io::Result<Self> {
        Self::of_path_with(path, Links::Keep)
    }

    pub(crate) fn of_path_with(path: &Path, links: Links) -> io::Result<Self> {
        Self::of_entry(rustix::fs::CWD, path.as_os_str(), links)
    }

    /// Reads the metadata of a name in an open directory. Several times cheaper than by the whole path.
    pub(crate) fn of_entry(dir: impl AsFd, name: &OsStr, links: Links) -> io::Result<Self> {
        let flags = if links == Links::Keep { AtFlags::SYMLINK_NOFOLLOW } else { AtFlags::empty() };
        Ok(rustix::fs::statat(dir, name, flags).map(Self::from)?)
    }

    pub(crate) fn of_open(open: impl AsFd) -> io::Result<Self> {
        Ok(rustix::fs::fstat(open).map(Self::from)?)
    }

    /// Whether the entry has content that can change.
    pub(crate) fn has_content(&self) -> bool {
        self.kind.has_content()
    }

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
        let kind = FileKind::of(FileType::from_raw_mode(stat.st_mode));
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

/// Size of the buffer for `getdents64`. Most directories fit into one call.
#[cfg(target_os = "linux")]
const LISTING_BUFFER: usize = 32 << 10;

/// Flag with which reading a file does not update its access time. Only the file's owner may use it.
///
/// Without it, the first read after a write makes the kernel write the inode once more.
pub(crate) const NO_ATIME: OFlags = {
    #[cfg(target_os = "linux")]
    {
        OFlags::NOATIME
    }
    #[cfg(not(target_os = "linux"))]
    {
        OFlags::empty()
    }
};

/// The names in a directory. Reused for directory after directory, it allocates nothing more.
#[derive(Debug, Default)]
pub(crate) struct DirListing {
    names: Vec<u8>,
    /// The end of each name in `names`, and its kind.
    ends: Vec<(usize, Option<FileKind>)>,
    #[cfg(target_os = "linux")]
    buffer: Vec<u8>,
}

impl DirListing {
    /// Lists an open directory. After an error the names read before it are kept.
    pub(crate) fn read(&mut self, dir: impl AsFd) -> io::Result<()> {
        self.names.clear();
        self.ends.clear();
        self.read_all(dir)
    }

    #[cfg(target_os = "linux")]
    fn read_all(&mut self, dir: impl AsFd) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.reserve(LISTING_BUFFER);
        let mut entries = rustix::fs::RawDir::new(dir, buffer.spare_capacity_mut());
        let result = loop {
            match entries.next() {
                Some(Ok(entry)) => self.push(entry.file_name().to_bytes(), entry.file_type()),
                Some(Err(Errno::INTR)) => {}
                // The directory was removed after it was opened, so it is empty.
                None | Some(Err(Errno::NOENT)) => break Ok(()),
                Some(Err(error)) => break Err(error.into()),
            }
        };
        self.buffer = buffer;
        result
    }

    #[cfg(not(target_os = "linux"))]
    fn read_all(&mut self, dir: impl AsFd) -> io::Result<()> {
        for entry in rustix::fs::Dir::read_from(dir)? {
            let entry = entry?;
            self.push(entry.file_name().to_bytes(), entry.file_type());
        }
        Ok(())
    }

    fn push(&mut self, name: &[u8], kind: FileType) {
        if name != b"." && name != b".." {
            self.names.extend_from_slice(name);
            let kind = (kind != FileType::Unknown).then(|| FileKind::of(kind));
            self.ends.push((self.names.len(), kind));
        }
    }

    /// Iterates over the names, each with its kind if the directory stores it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&OsStr, Option<FileKind>)> {
        let mut start = 0;
        self.ends.iter().map(move |(end, kind)| {
            let name = &self.names[std::mem::replace(&mut start, *end)..*end];
            (OsStr::from_bytes(name), *kind)
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether the listing has this name, in upper or lower case.
    pub(crate) fn contains(&self, name: &OsStr) -> bool {
        self.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }
}

/// Whether this process may list a directory and examine its entries.
pub(crate) fn is_readable_dir(path: &Path) -> bool {
    rustix::fs::access(path, Access::READ_OK | Access::EXEC_OK).is_ok()
}

/// Minimum length in bytes of a path that the kernel refuses.
pub(crate) const TOO_LONG: usize = if cfg!(target_os = "linux") { 4096 } else { 1024 };

/// Opens a directory for listing.
pub(crate) fn open_dir(path: &Path) -> io::Result<OwnedFd> {
    Ok(open_dir_with(path, OFlags::empty())?)
}

/// As [`open_dir`], with further flags.
pub(crate) fn open_dir_with(path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATHS: [&str; 12] =
        ["/", "/a", "/a b", "/a b/c", "/a/b", "/a/b/c", "/a/b.c", "/a-", "/a.b", "/a0", "/b", "/ä/ö"];

    #[test]
    fn byte_operations_agree_with_path_operations() {
        for one in PATHS.map(Path::new) {
            assert_eq!(split(one), one.parent().zip(one.file_name()));
            for other in PATHS.map(Path::new) {
                assert_eq!(starts_with(one, other), one.starts_with(other), "{one:?} {other:?}");
            }
        }
    }
}
