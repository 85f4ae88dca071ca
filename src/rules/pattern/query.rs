//! A path as the rules of one file see it.

use super::byte_mask::ByteMask;
use super::entry_kind::EntryKind;

/// A path as the rules of one file see it.
#[derive(Clone, Copy)]
pub(crate) struct Query<'a> {
    /// The last component.
    pub(super) name: &'a [u8],
    pub(super) name_bytes: ByteMask,
    /// The path from the directory of the rule file; `None` if the entry lies elsewhere.
    pub(super) path: Option<&'a [u8]>,
    pub(super) kind: EntryKind,
}

impl<'a> Query<'a> {
    /// A query for an entry. `name` is its last component; `path` is its path from the directory of the rule
    /// file, and `None` if it lies elsewhere: then only patterns for file names can match.
    pub(crate) fn new(name: &'a [u8], path: Option<&'a [u8]>, kind: EntryKind) -> Self {
        Self { name, name_bytes: ByteMask::of(name.iter().copied()), path, kind }
    }

    /// The same entry, seen from the directory of another rule file.
    pub(crate) fn with_path(self, path: Option<&'a [u8]>) -> Self {
        Self { path, ..self }
    }
}
