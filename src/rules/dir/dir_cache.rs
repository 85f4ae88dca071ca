//! The cache of directories' rules, by path.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::path::Path;
use std::sync::Arc;

use super::dir_rules::DirRules;
use crate::rules::path_key;

/// The rules of the directories that were asked about.
#[derive(Debug, Default)]
pub(crate) struct DirCache {
    dirs: HashMap<Arc<[u8]>, Arc<DirRules>, BuildHasherDefault<KeyHasher>>,
    /// The keys of `dirs` in order, so that a subtree is found without a scan of all of them.
    ordered: BTreeSet<Arc<[u8]>>,
    version: Version,
}

/// Counts the calls that forgot something. Rules that were read at an earlier version may be outdated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Version(u64);

impl DirCache {
    /// The rules of a directory, by the key of its path.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Arc<DirRules>> {
        self.dirs.get(key)
    }

    /// The rules of all known directories.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<DirRules>> {
        self.dirs.values()
    }

    /// The present version.
    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// Adds rules that were read while the cache was at `version`. Does nothing if it is not any more.
    pub(crate) fn insert(&mut self, version: Version, learned: Vec<(Arc<[u8]>, Arc<DirRules>)>) {
        if self.version == version {
            self.ordered.extend(learned.iter().map(|(key, _)| Arc::clone(key)));
            self.dirs.extend(learned);
        }
    }

    /// Forgets a directory and everything below it.
    pub(crate) fn forget(&mut self, dir: &Path) {
        self.version.0 += 1;
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
    pub(crate) fn clear(&mut self) {
        self.version.0 += 1;
        self.dirs.clear();
        self.ordered.clear();
    }
}

/// A fast hash for keys, which are long and looked up for every path. It does not resist chosen keys: a
/// directory with colliding names is slow, and nothing worse.
#[derive(Debug, Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxhash_rust::xxh3::xxh3_64_with_seed(bytes, self.0);
    }

    fn write_usize(&mut self, number: usize) {
        self.0 = self.0.rotate_left(5) ^ number as u64;
    }
}
