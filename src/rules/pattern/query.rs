//! What patterns are compared with: one path as the rules of one file see it.

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

/// Whether upper and lower case of an ASCII letter differ. git configures it with `core.ignoreCase`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// They differ.
    Sensitive,
    /// They are the same. Patterns are stored in lower case.
    Insensitive,
}

impl Case {
    /// A byte of a path as the matcher compares it.
    pub(super) fn fold(self, byte: u8) -> u8 {
        match self {
            Self::Sensitive => byte,
            Self::Insensitive => byte.to_ascii_lowercase(),
        }
    }

    /// Whether a literal of a pattern equals a text.
    pub(super) fn equal(self, literal: &[u8], text: &[u8]) -> bool {
        match self {
            Self::Sensitive => literal == text,
            Self::Insensitive => literal.eq_ignore_ascii_case(text),
        }
    }
}

/// A path as the rules of one file see it.
#[derive(Clone, Copy)]
pub(crate) struct Query<'a> {
    /// The last component.
    pub(super) name: &'a [u8],
    /// The bytes of the name, against which a pattern's required bytes are checked.
    pub(super) name_bytes: ByteMask,
    /// The path from the directory of the rule file; `None` if the entry lies elsewhere.
    pub(crate) path: Option<&'a [u8]>,
    pub(super) kind: EntryKind,
}

impl<'a> Query<'a> {
    /// A query for an entry. Without a path, only patterns for file names can match.
    pub(crate) fn new(name: &'a [u8], path: Option<&'a [u8]>, kind: EntryKind) -> Self {
        Self { name, name_bytes: ByteMask::of(name.iter().copied()), path, kind }
    }

    /// Whether the entry is a directory.
    pub(crate) fn is_dir(&self) -> bool {
        self.kind == EntryKind::Dir
    }
}

/// A set of bytes without regard to case, as a mask of their lowest six bits. It contains every byte that was
/// added, and possibly more. Comparing two masks rules out most patterns before they are matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ByteMask(u64);

impl ByteMask {
    /// The mask of some bytes.
    pub(super) fn of(bytes: impl IntoIterator<Item = u8>) -> Self {
        let bit = |byte: u8| 1 << (byte.to_ascii_lowercase() & 63);
        Self(bytes.into_iter().fold(0, |mask, byte| mask | bit(byte)))
    }

    /// Whether `other` contains every byte of this mask.
    pub(super) fn is_subset_of(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }
}
