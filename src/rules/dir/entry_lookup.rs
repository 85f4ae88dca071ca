//! What a caller knows about the entries of a directory that it has just listed.

use std::ffi::OsStr;

/// Answers whether a directory has an entry, from a listing of it, so that no file is opened in vain.
#[derive(Clone, Copy)]
pub(crate) struct EntryLookup<'a> {
    has_entry: Option<&'a dyn Fn(&OsStr) -> bool>,
}

impl<'a> EntryLookup<'a> {
    /// The directory was not listed, so any entry may exist.
    pub(crate) const UNKNOWN: Self = Self { has_entry: None };

    /// The directory was listed. `has_entry` compares names without regard to case.
    pub(crate) fn listed(has_entry: &'a dyn Fn(&OsStr) -> bool) -> Self {
        Self { has_entry: Some(has_entry) }
    }

    /// Whether the directory was listed: then it is a directory, and not a link to one.
    pub(crate) fn is_listed(self) -> bool {
        self.has_entry.is_some()
    }

    /// Whether a file may exist. A name with a slash is in no listing. A name that is not ASCII may be listed
    /// in another Unicode normal form, which some file systems treat as the same name.
    pub(crate) fn may_have(self, name: &OsStr) -> bool {
        self.has_entry.is_none_or(|has_entry| {
            has_entry(name) || !name.is_ascii() || name.as_encoded_bytes().contains(&b'/')
        })
    }
}
