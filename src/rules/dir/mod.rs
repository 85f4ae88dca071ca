//! The rules that hold in one directory, and the cache of them.

mod entry_lookup;
mod dir_rules;
mod dir_cache;

pub(super) use dir_cache::DirCache;
pub(super) use dir_rules::DirRules;
pub(super) use entry_lookup::EntryLookup;
