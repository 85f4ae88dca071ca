//! The snapshot: every directory that counts and every relevant file in it, as last reported. Pure data: it
//! looks at nothing itself.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::watch::fs::paths::{PathMap, split};
use crate::watch::fs::signature::{FileSignature, Kind};

/// A fingerprint of content: 128 bits.
pub(crate) type Fingerprint = [u64; 2];

/// One relevant file, as last reported.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) name: Box<OsStr>,
    pub(crate) signature: FileSignature,
    /// The fingerprint of its content, once it was read.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// A later write could have left the same signature: only the content can tell.
    pub(crate) racy: bool,
}

/// SyncMode a directory's changes are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coverage {
    /// It has a kernel watch.
    Events,
    /// It is scanned.
    Polling,
    /// It is gone, or not seen to yet; its entries wait to be compared.
    Missing,
}

/// One directory that counts.
#[derive(Debug)]
pub(crate) struct Dir {
    pub(crate) path: Box<Path>,
    /// As it was before it was last listed.
    pub(crate) signature: FileSignature,
    pub(crate) coverage: Coverage,
    /// A later change could have left the same signature: it is listed again at the next scan.
    pub(crate) racy: bool,
    /// It could not be listed.
    pub(crate) unreadable: bool,
    /// Only some names in it matter, and no directory: it is the home of files that are roots.
    pub(crate) partial: bool,
    /// Sorted by name.
    files: Vec<Entry>,
    /// Sorted.
    dirs: Vec<Box<OsStr>>,
    /// Files in it that rules are read from, sorted by name.
    rules: Box<[Entry]>,
}

impl Dir {
    /// A directory as it was found; `files` and `dirs` in any order.
    pub(crate) fn new(
        path: PathBuf,
        signature: FileSignature,
        mut files: Vec<Entry>,
        mut dirs: Vec<Box<OsStr>>,
    ) -> Self {
        files.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        dirs.sort_unstable();
        files.shrink_to_fit();
        dirs.shrink_to_fit();
        let (path, rules) = (path.into_boxed_path(), Box::default());
        let (racy, unreadable, partial) = (false, false, false);
        Self { path, signature, coverage: Coverage::Missing, racy, unreadable, partial, files, dirs, rules }
    }

    /// Its relevant files.
    pub(crate) fn files(&self) -> &[Entry] {
        &self.files
    }

    /// The files in it that rules are read from.
    pub(crate) fn rules(&self) -> &[Entry] {
        &self.rules
    }

    /// Sets the files in it that rules are read from.
    pub(crate) fn set_rules(&mut self, mut rules: Vec<Entry>) {
        rules.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        self.rules = rules.into();
    }

    /// The names of its directories that count.
    pub(crate) fn dirs(&self) -> &[Box<OsStr>] {
        &self.dirs
    }

    /// One of its files.
    pub(crate) fn file(&self, name: &OsStr) -> Option<&Entry> {
        self.position(name).ok().map(|at| &self.files[at])
    }

    /// One of its files.
    pub(crate) fn file_mut(&mut self, name: &OsStr) -> Option<&mut Entry> {
        self.position(name).ok().map(|at| &mut self.files[at])
    }

    fn position(&self, name: &OsStr) -> Result<usize, usize> {
        self.files.binary_search_by(|entry| (*entry.name).cmp(name))
    }
}

/// Every directory that counts.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    dirs: PathMap<Dir>,
    files: usize,
}

impl Snapshot {
    /// SyncMode many relevant files there are.
    pub(crate) fn files(&self) -> usize {
        self.files
    }

    /// The directories, in no order.
    pub(crate) fn dirs(&self) -> impl Iterator<Item = &Dir> {
        self.dirs.values()
    }

    /// One directory.
    pub(crate) fn dir(&self, path: &Path) -> Option<&Dir> {
        self.dirs.get(path.as_os_str())
    }

    /// One directory.
    pub(crate) fn dir_mut(&mut self, path: &Path) -> Option<&mut Dir> {
        self.dirs.get_mut(path.as_os_str())
    }

    /// One file.
    pub(crate) fn file(&self, path: &Path) -> Option<&Entry> {
        let (dir, name) = split(path)?;
        self.dir(dir)?.file(name)
    }

    /// One file.
    pub(crate) fn file_mut(&mut self, path: &Path) -> Option<&mut Entry> {
        let (dir, name) = split(path)?;
        self.dir_mut(dir)?.file_mut(name)
    }

    /// Adds a directory with its files, or replaces it; what is below stays. The parent, if known, learns of it.
    pub(crate) fn put_dir(&mut self, dir: Dir) {
        self.files += dir.files.len();
        // The home of files that are roots belongs to no directory above it, which may well be ignored.
        if !dir.partial
            && let Some((parent, name)) = split(&dir.path)
            && let Some(parent) = self.dirs.get_mut(parent.as_os_str())
            && let Err(at) = parent.dirs.binary_search_by(|known| (**known).cmp(name))
        {
            parent.dirs.insert(at, name.into());
        }
        if let Some(replaced) = self.dirs.insert(dir.path.as_os_str().into(), dir) {
            self.files -= replaced.files.len();
        }
    }

    /// Adds or replaces a file in a known directory. Gives whether the directory is known.
    pub(crate) fn put_file(&mut self, dir: &Path, entry: Entry) -> bool {
        let Some(dir) = self.dirs.get_mut(dir.as_os_str()) else { return false };
        match dir.position(&entry.name) {
            Ok(at) => dir.files[at] = entry,
            Err(at) => {
                dir.files.insert(at, entry);
                self.files += 1;
            }
        }
        true
    }

    /// Forgets a file.
    pub(crate) fn remove_file(&mut self, path: &Path) -> bool {
        let Some((parent, name)) = split(path) else { return false };
        let Some(dir) = self.dirs.get_mut(parent.as_os_str()) else { return false };
        let Ok(at) = dir.position(name) else { return false };
        dir.files.remove(at);
        self.files -= 1;
        true
    }

    /// The paths of a directory and of all directories known below it.
    pub(crate) fn below(&self, path: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        if self.dir(path).is_some() {
            found.push(path.to_owned());
        }
        let mut at = 0;
        while at < found.len() {
            if let Some(dir) = self.dir(&found[at]) {
                let below: Vec<_> = dir.dirs.iter().map(|name| dir.path.join(&**name)).collect();
                found.extend(below.into_iter().filter(|path| self.dir(path).is_some()));
            }
            at += 1;
        }
        found
    }

    /// Forgets a directory and everything below it; gives the paths of the directories.
    pub(crate) fn remove_below(&mut self, path: &Path) -> Vec<PathBuf> {
        let below = self.below(path);
        for path in &below {
            if let Some(dir) = self.dirs.remove(path.as_os_str()) {
                self.files -= dir.files.len();
            }
        }
        self.unlink(path);
        below
    }

    /// Forgets directories that are absent and empty, from this one upwards.
    pub(crate) fn prune(&mut self, path: &Path) {
        let mut at = Some(path);
        while let Some(path) = at {
            let empty = self.dir(path).is_some_and(|dir| {
                dir.coverage == Coverage::Missing && dir.files.is_empty() && dir.dirs.is_empty()
            });
            if !empty {
                return;
            }
            self.dirs.remove(path.as_os_str());
            self.unlink(path);
            at = path.parent();
        }
    }

    fn unlink(&mut self, path: &Path) {
        if let Some((parent, name)) = split(path)
            && let Some(parent) = self.dirs.get_mut(parent.as_os_str())
            && let Ok(at) = parent.dirs.binary_search_by(|known| (**known).cmp(name))
        {
            parent.dirs.remove(at);
        }
    }

    /// Whether a path is in the snapshot.
    pub(crate) fn knows(&self, path: &Path) -> bool {
        self.file(path).is_some_and(|entry| entry.signature.kind.has_content())
            || self
                .dir(path)
                .is_some_and(|dir| dir.coverage != Coverage::Missing && dir.signature.kind == Kind::Dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(kind: Kind) -> FileSignature {
        FileSignature { size: 1, inode: 2, mtime: 3, ctime: 4, kind, linked: false }
    }

    fn entry(name: &str) -> Entry {
        Entry {
            name: OsStr::new(name).into(),
            signature: signature(Kind::File),
            fingerprint: None,
            racy: false,
        }
    }

    fn dir(path: &str, files: &[&str], dirs: &[&str]) -> Dir {
        let dirs = dirs.iter().map(|name| OsStr::new(name).into()).collect();
        Dir::new(path.into(), signature(Kind::Dir), files.iter().map(|name| entry(name)).collect(), dirs)
    }

    fn tree() -> Snapshot {
        let mut tree = Snapshot::default();
        tree.put_dir(dir("/r", &["b", "a"], &["s"]));
        tree.put_dir(dir("/r/s", &["c"], &["t"]));
        tree.put_dir(dir("/r/s/t", &["d"], &[]));
        tree
    }

    #[test]
    fn files_are_found_added_and_removed() {
        let mut tree = tree();
        assert_eq!(tree.files(), 4);
        assert!(tree.file(Path::new("/r/a")).is_some() && tree.file(Path::new("/r/c")).is_none());
        assert!(tree.put_file(Path::new("/r"), entry("aa")) && !tree.put_file(Path::new("/x"), entry("a")));
        assert!(tree.remove_file(Path::new("/r/b")) && !tree.remove_file(Path::new("/r/b")));
        assert_eq!(tree.files(), 4);
        let names: Vec<_> =
            tree.dir(Path::new("/r")).unwrap().files().iter().map(|file| &*file.name).collect();
        assert_eq!(names, ["a", "aa"]);
    }

    #[test]
    fn a_directory_goes_with_all_below_it() {
        let mut tree = tree();
        assert_eq!(tree.remove_below(Path::new("/r/s")).len(), 2);
        assert_eq!(tree.files(), 2);
        assert!(tree.dir(Path::new("/r")).unwrap().dirs().is_empty());
    }

    #[test]
    fn absent_empty_directories_are_pruned_upwards() {
        let mut tree = tree();
        tree.remove_file(Path::new("/r/s/t/d"));
        tree.prune(Path::new("/r/s/t"));
        assert!(tree.dir(Path::new("/r/s/t")).is_none() && tree.dir(Path::new("/r/s")).is_some());
        tree.remove_file(Path::new("/r/s/c"));
        tree.prune(Path::new("/r/s"));
        assert!(tree.dir(Path::new("/r/s")).is_none() && tree.dir(Path::new("/r")).is_some());
    }
}
