//! Directory listings: the names, and their kinds if the directory stores them. No entry is opened or
//! examined.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::signature::FileKind;

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
            self.ends.push((self.names.len(), file_kind(kind)));
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

    /// Number of names.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether the listing has this name, in upper or lower case.
    pub(crate) fn contains(&self, name: &OsStr) -> bool {
        self.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }
}

fn file_kind(kind: FileType) -> Option<FileKind> {
    match kind {
        FileType::Unknown => None,
        FileType::RegularFile => Some(FileKind::File),
        FileType::Directory => Some(FileKind::Dir),
        FileType::Symlink => Some(FileKind::Link),
        _ => Some(FileKind::Other),
    }
}

/// Opens a directory for listing.
pub(crate) fn open_dir(path: &Path) -> io::Result<OwnedFd> {
    Ok(open_dir_with(path, OFlags::empty())?)
}

/// As [`open_dir`], with further flags.
pub(crate) fn open_dir_with(path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | flags, Mode::empty())
}
