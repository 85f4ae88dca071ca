//! What is in a directory: its names, and their kinds where the directory says so. Looks at no entry itself.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::watch::fs::signature::Kind;

/// Worker for one answer of the kernel: most directories are listed by one call, and one more that says that it was all.
#[cfg(target_os = "linux")]
const ROOM: usize = 32 << 10;

/// Reads leave no trace: without it the first one after a write marks the file's inode to be written once more, for the time
/// of the last access. Allowed only to the file's owner.
pub(crate) const UNNOTED: OFlags = {
    #[cfg(target_os = "linux")]
    {
        OFlags::NOATIME
    }
    #[cfg(not(target_os = "linux"))]
    {
        OFlags::empty()
    }
};

/// The names in a directory. Used for one after another, it allocates nothing more.
#[derive(Debug, Default)]
pub(crate) struct DirListing {
    names: Vec<u8>,
    /// Where each name ends, and what it is.
    ends: Vec<(usize, Option<Kind>)>,
    #[cfg(target_os = "linux")]
    buffer: Vec<u8>,
}

impl DirListing {
    /// Lists an open directory. After an error there is what was listed until then.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn read(&mut self, dir: impl AsFd) -> io::Result<()> {
        self.names.clear();
        self.ends.clear();
        self.read_all(dir)
    }

    #[cfg(target_os = "linux")]
    fn read_all(&mut self, dir: impl AsFd) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.reserve(ROOM);
        let mut entries = rustix::fs::RawDir::new(dir, buffer.spare_capacity_mut());
        let result = loop {
            match entries.next() {
                Some(Ok(entry)) => self.push(entry.file_name().to_bytes(), entry.file_type()),
                Some(Err(Errno::INTR)) => {}
                // It was removed meanwhile: then it has none.
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
            self.ends.push((self.names.len(), kind_of(kind)));
        }
    }

    /// Each name, with its kind if that is known.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&OsStr, Option<Kind>)> {
        let mut start = 0;
        self.ends.iter().map(move |(end, kind)| {
            let name = &self.names[std::mem::replace(&mut start, *end)..*end];
            (OsStr::from_bytes(name), *kind)
        })
    }

    /// SyncMode many there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether a name is among them, in whatever case.
    pub(crate) fn has(&self, name: &OsStr) -> bool {
        self.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }
}

fn kind_of(kind: FileType) -> Option<Kind> {
    match kind {
        FileType::Unknown => None,
        FileType::RegularFile => Some(Kind::File),
        FileType::Directory => Some(Kind::Dir),
        FileType::Symlink => Some(Kind::Link),
        _ => Some(Kind::Other),
    }
}

/// Opens a directory to look at what is in it.
///
/// # Errors
/// What `open` says.
pub(crate) fn open_dir(path: &Path) -> io::Result<OwnedFd> {
    Ok(open_with(path, OFlags::empty())?)
}

/// As [`open_dir`], with these flags too.
///
/// # Errors
/// What `open` says.
pub(crate) fn open_with(path: &Path, more: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | more, Mode::empty())
}
