//! What is known of one directory, and where it is found.

use std::ffi::OsStr;
use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::global::Fixed;
use super::path_key as key;
use super::pattern::EntryKind;
use super::rule_file::RuleFile;
use super::sources::{Match, Sources};

/// What is known of one directory.
#[derive(Debug)]
pub(super) struct Dir {
    /// What decides for its entries.
    pub(super) sources: Sources,
    /// It, or a directory above it, is excluded, and so is all below.
    pub(super) excluded: Option<Arc<Exclusion>>,
    /// The rule files it holds itself, and its repository's.
    pub(super) own: Vec<Arc<RuleFile>>,
    /// It is below the top of a named place.
    pub(super) inside: bool,
    /// Per-directory files are read from here down: it is inside, or in some repository.
    pub(super) reads: bool,
    /// It is, or may be, a directory of the file system and not behind a symbolic link.
    pub(super) real: bool,
    /// A named place is an entry of it.
    pub(super) holds_anchor: bool,
    /// `info/exclude` of the repository whose top it is.
    pub(super) exclude_file: Option<PathBuf>,
}

/// Which directory is excluded, and by which rule.
#[derive(Debug)]
pub(super) struct Exclusion {
    pub(super) dir: PathBuf,
    pub(super) by: Match,
}

impl Dir {
    /// What holds above the root directory.
    pub(super) fn above_all(fixed: &Fixed) -> Self {
        Self {
            sources: fixed.sources(),
            excluded: None,
            own: Vec::new(),
            inside: false,
            reads: false,
            real: true,
            holds_anchor: false,
            exclude_file: None,
        }
    }

    /// Whether a directory in this one is excluded, by itself or with this one.
    pub(super) fn exclusion_of(&self, path: &Path, key: &[u8]) -> Option<Arc<Exclusion>> {
        if let Some(exclusion) = &self.excluded {
            return Some(Arc::clone(exclusion));
        }
        let (_, name) = key::split(key)?;
        let by = self.sources.decide(key, name, EntryKind::Dir).filter(|by| !by.is_negated())?;
        Some(Arc::new(Exclusion { dir: path.to_path_buf(), by }))
    }
}

/// Says whether a directory that was listed has an entry of this name, in whatever case.
pub(super) type Has<'a> = &'a dyn Fn(&OsStr) -> bool;

/// Whether it is worth to look for a file. A name with a slash in it is in no listing; one that is not ASCII may be
/// there in another normal form, which some file systems take for the same.
pub(super) fn may_have(has: Option<Has<'_>>, name: &OsStr) -> bool {
    has.is_none_or(|has| has(name) || !name.is_ascii() || name.as_encoded_bytes().contains(&b'/'))
}

/// Keys are long and looked up for every path: a fast hash, for which nobody needs to be trusted, since a
/// directory with colliding names is slow and no worse.
#[derive(Debug, Default)]
pub(super) struct KeyHasher(u64);

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
