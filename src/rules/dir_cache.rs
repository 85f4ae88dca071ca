//! The cache of directories' rules, by path.

use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasherDefault;
use std::path::Path;
use std::sync::Arc;

use super::dir_rules::DirRules;
use super::path_key::{self, KeyHasher};

/// The rules of the directories that were asked about.
#[derive(Debug, Default)]
pub(super) struct DirCache {
    dirs: HashMap<Arc<[u8]>, Arc<DirRules>, BuildHasherDefault<KeyHasher>>,
    /// The keys of `dirs` in order, so that a subtree is found without a scan of all of them.
    ordered: BTreeSet<Arc<[u8]>>,
    /// The number of calls that forgot something. Rules that were read at an earlier version may be outdated.
    pub(super) version: u64,
}

impl DirCache {
    /// The rules of a directory, by the key of its path.
    pub(super) fn get(&self, key: &[u8]) -> Option<&Arc<DirRules>> {
        self.dirs.get(key)
    }

    /// The rules of all known directories.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<DirRules>> {
        self.dirs.values()
    }

    /// Adds rules that were read while the cache was at `version`. Does nothing if it is not any more.
    pub(super) fn insert(&mut self, version: u64, learned: Vec<(Arc<[u8]>, Arc<DirRules>)>) {
        if self.version == version {
            self.ordered.extend(learned.iter().map(|(key, _)| Arc::clone(key)));
            self.dirs.extend(learned);
        }
    }

    /// Forgets a directory and everything below it.
    pub(super) fn forget(&mut self, dir: &Path) {
        self.version += 1;
        let key = path_key::of(dir);
        // The keys below a directory sort between its key with `/` and its key with the byte after `/`.
        let bound = |last: u8| Arc::<[u8]>::from([key, &[last]].concat());
        let below: Vec<Arc<[u8]>> = self.ordered.range(bound(b'/')..bound(b'/' + 1)).cloned().collect();
        for known in below.into_iter().chain([Arc::from(key)]) {
            self.ordered.remove(&known);
            self.dirs.remove(&known);
        }
    }

    /// Forgets all directories.
    pub(super) fn clear(&mut self) {
        self.version += 1;
        self.dirs.clear();
        self.ordered.clear();
    }
}
