//! The kind of entry that a path names, as far as patterns tell kinds apart.

use std::fs::FileType;
use std::path::Path;

/// Whether a path names a directory: a pattern that ends with `/` matches directories only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A directory.
    Dir,
    /// Anything else: a file, a symbolic link (even to a directory), a socket.
    File,
}

impl EntryKind {
    /// Looks a path up with `lstat`. A path that ends with `/` is a directory, whether it exists or not; any
    /// other path that does not exist is a file.
    #[must_use]
    pub fn of_path(path: &Path) -> Self {
        let ends_with_slash = path.as_os_str().as_encoded_bytes().ends_with(b"/");
        Self::from_is_dir(ends_with_slash || path.symlink_metadata().is_ok_and(|found| found.is_dir()))
    }

    /// Converts a flag: `true` is a directory.
    #[must_use]
    pub fn from_is_dir(is_dir: bool) -> Self {
        if is_dir { Self::Dir } else { Self::File }
    }
}

impl From<FileType> for EntryKind {
    /// Converts a type as `lstat` or a directory listing reports it.
    fn from(file_type: FileType) -> Self {
        Self::from_is_dir(file_type.is_dir())
    }
}
