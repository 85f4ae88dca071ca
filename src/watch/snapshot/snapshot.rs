//! The snapshot: each directory that counts, and each relevant file in it, as last reported. Pure data.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::watch::fs::{FileKind, FileSignature, Links, PathMap, split};

/// A hash of a file's content. Bytes need less alignment than a `u128`.
pub(crate) type Fingerprint = [u8; 16];

/// A relevant file as last reported, or a file with rules as last read.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotFile {
    pub(crate) name: Box<OsStr>,
    pub(crate) signature: FileSignature,
    /// `None` if the content was not read.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// A later write could have left the same signature, so that only the content can prove a change.
    pub(crate) is_racy: bool,
    /// How a symbolic link at the path is read.
    pub(crate) links: Links,
}

impl SnapshotFile {
    /// A file with the signature that was read at `read_at`.
    pub(crate) fn new(name: &OsStr, signature: FileSignature, links: Links, read_at: SystemTime) -> Self {
        let is_racy = signature.is_racy(read_at);
        Self { name: name.into(), signature, fingerprint: None, is_racy, links }
    }

    /// Whether the signature proves that the file is unchanged. It may be reduced to the existence.
    pub(crate) fn is_unchanged(&self, found: &FileSignature) -> bool {
        (self.signature == *found || self.signature == found.existence()) && !self.is_racy
    }
}

/// How changes in a directory are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coverage {
    /// The directory has a kernel watch.
    Events,
    /// The directory is scanned.
    Polling,
    /// The directory is gone, or has no watch yet. Its files wait to be compared.
    Missing,
}

/// Which entries of a directory the snapshot has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All entries that count.
    All,
    /// None, or only some, because the directory could not be listed.
    Unreadable,
    /// None, because its content excludes the directory. It is watched for the file that says so.
    Excluded,
    /// Only the files that are roots. No directory below belongs to the snapshot.
    RootFiles,
}

#[derive(Debug)]
pub(crate) struct SnapshotDir {
    pub(crate) path: Box<Path>,
    /// The signature before the directory was last listed.
    pub(crate) signature: FileSignature,
    /// A later change could have left the same signature.
    pub(crate) is_racy: bool,
    pub(crate) coverage: Coverage,
    pub(crate) extent: Extent,
    /// The relevant files, sorted by name.
    pub(crate) files: Vec<SnapshotFile>,
    /// The names of the directories in it that count, sorted.
    pub(crate) dirs: Vec<Box<OsStr>>,
    /// The files from which rules are read, in no order.
    pub(crate) rule_files: Box<[SnapshotFile]>,
}

impl SnapshotDir {
    /// A directory without entries, with the signature that was found at `read_at`.
    pub(crate) fn new(path: &Path, found: FileSignature, read_at: SystemTime, coverage: Coverage) -> Self {
        let (path, signature, is_racy, extent) = (path.into(), found, found.is_racy(read_at), Extent::All);
        let (files, dirs, rule_files) = (Vec::new(), Vec::new(), Box::default());
        Self { path, signature, is_racy, coverage, extent, files, dirs, rule_files }
    }

    /// Replaces the relevant files and the directories that count, each in any order.
    pub(crate) fn with_entries(mut self, mut files: Vec<SnapshotFile>, mut dirs: Vec<Box<OsStr>>) -> Self {
        files.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        dirs.sort_unstable();
        files.shrink_to_fit();
        dirs.shrink_to_fit();
        (self.files, self.dirs) = (files, dirs);
        self
    }

    /// Whether the directory is gone, or has no watch yet.
    pub(crate) fn is_missing(&self) -> bool {
        self.coverage == Coverage::Missing
    }

    /// Whether the directory could not be listed.
    pub(crate) fn is_unreadable(&self) -> bool {
        self.extent == Extent::Unreadable
    }

    /// Whether the directory exists, and its content does not exclude it.
    pub(crate) fn is_present(&self) -> bool {
        !self.is_missing() && !self.is_excluded()
    }

    /// Whether its content excludes it.
    pub(crate) fn is_excluded(&self) -> bool {
        self.extent == Extent::Excluded
    }

    /// Whether only files in it that are roots matter.
    pub(crate) fn has_root_files_only(&self) -> bool {
        self.extent == Extent::RootFiles
    }

    pub(crate) fn file(&self, name: &OsStr) -> Option<&SnapshotFile> {
        self.position(name).ok().map(|at| &self.files[at])
    }

    pub(crate) fn file_mut(&mut self, name: &OsStr) -> Option<&mut SnapshotFile> {
        self.position(name).ok().map(|at| &mut self.files[at])
    }

    fn position(&self, name: &OsStr) -> Result<usize, usize> {
        self.files.binary_search_by(|file| (*file.name).cmp(name))
    }
}

/// Each directory that counts.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    dirs: PathMap<SnapshotDir>,
    file_count: usize,
}

impl Snapshot {
    pub(crate) fn file_count(&self) -> usize {
        self.file_count
    }

    /// The directories, in no order.
    pub(crate) fn dirs(&self) -> impl Iterator<Item = &SnapshotDir> {
        self.dirs.values()
    }

    pub(crate) fn dir(&self, path: &Path) -> Option<&SnapshotDir> {
        self.dirs.get(path.as_os_str())
    }

    pub(crate) fn dir_mut(&mut self, path: &Path) -> Option<&mut SnapshotDir> {
        self.dirs.get_mut(path.as_os_str())
    }

    pub(crate) fn file(&self, path: &Path) -> Option<&SnapshotFile> {
        let (dir, name) = split(path)?;
        self.dir(dir)?.file(name)
    }

    pub(crate) fn file_mut(&mut self, path: &Path) -> Option<&mut SnapshotFile> {
        let (dir, name) = split(path)?;
        self.dir_mut(dir)?.file_mut(name)
    }

    /// Whether only files in a directory that are roots matter.
    pub(crate) fn has_root_files_only(&self, dir: &Path) -> bool {
        self.dir(dir).is_some_and(SnapshotDir::has_root_files_only)
    }

    /// Whether a path exists and counts.
    pub(crate) fn contains(&self, path: &Path) -> bool {
        self.file(path).is_some_and(|file| file.signature.has_content())
            || self.dir(path).is_some_and(|dir| dir.is_present() && dir.signature.kind == FileKind::Dir)
    }

    /// Inserts or replaces a directory with its files, and adds it to its parent. Directories below it stay.
    pub(crate) fn insert_dir(&mut self, dir: SnapshotDir) {
        self.file_count += dir.files.len();
        // A directory with root files only may be ignored, so it belongs to no parent.
        if !dir.has_root_files_only()
            && let Some((parent, name)) = split(&dir.path)
            && let Some(parent) = self.dirs.get_mut(parent.as_os_str())
            && let Err(at) = parent.dirs.binary_search_by(|known| (**known).cmp(name))
        {
            parent.dirs.insert(at, name.into());
        }
        if let Some(replaced) = self.dirs.insert(dir.path.as_os_str().into(), dir) {
            self.file_count -= replaced.files.len();
        }
    }

    /// Inserts or replaces a file. Returns whether the snapshot has its directory.
    pub(crate) fn insert_file(&mut self, dir: &Path, file: SnapshotFile) -> bool {
        let Some(dir) = self.dirs.get_mut(dir.as_os_str()) else { return false };
        match dir.position(&file.name) {
            Ok(at) => dir.files[at] = file,
            Err(at) => {
                dir.files.insert(at, file);
                self.file_count += 1;
            }
        }
        true
    }

    /// Removes a file. Returns whether the snapshot had it.
    pub(crate) fn remove_file(&mut self, path: &Path) -> bool {
        let Some((parent, name)) = split(path) else { return false };
        let Some(dir) = self.dirs.get_mut(parent.as_os_str()) else { return false };
        let Ok(at) = dir.position(name) else { return false };
        dir.files.remove(at);
        self.file_count -= 1;
        true
    }

    /// The paths of a directory and of the directories below it.
    pub(crate) fn dirs_below(&self, path: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        if self.dir(path).is_some() {
            found.push(path.to_owned());
        }
        let mut next = 0;
        while next < found.len() {
            if let Some(dir) = self.dir(&found[next]) {
                let below: Vec<_> = dir.dirs.iter().map(|name| dir.path.join(&**name)).collect();
                found.extend(below.into_iter().filter(|path| self.dir(path).is_some()));
            }
            next += 1;
        }
        found
    }

    /// Removes a directory and the directories below it. Returns their paths.
    pub(crate) fn remove_below(&mut self, path: &Path) -> Vec<PathBuf> {
        let below = self.dirs_below(path);
        for path in &below {
            if let Some(dir) = self.dirs.remove(path.as_os_str()) {
                self.file_count -= dir.files.len();
            }
        }
        self.remove_from_parent(path);
        below
    }

    /// Removes directories that are missing and empty, from this one upwards.
    pub(crate) fn prune(&mut self, path: &Path) {
        let mut next = Some(path);
        while let Some(path) = next {
            let is_prunable =
                |dir: &SnapshotDir| dir.is_missing() && dir.files.is_empty() && dir.dirs.is_empty();
            if !self.dir(path).is_some_and(is_prunable) {
                return;
            }
            self.dirs.remove(path.as_os_str());
            self.remove_from_parent(path);
            next = path.parent();
        }
    }

    fn remove_from_parent(&mut self, path: &Path) {
        if let Some((parent, name)) = split(path)
            && let Some(parent) = self.dirs.get_mut(parent.as_os_str())
            && let Ok(at) = parent.dirs.binary_search_by(|known| (**known).cmp(name))
        {
            parent.dirs.remove(at);
        }
    }
}
