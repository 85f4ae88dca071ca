//! Detection of a running git operation in the watched repositories.
//!
//! Git's own files are not watched, so they are read, and only while a burst is pending.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Maximum age of a lock file. An older one was left behind by a git process that has died.
const MAX_LOCK_AGE: Duration = Duration::from_secs(30);
/// Maximum time since the last step of a running rebase. After that, git waits for the developer, whose edits
/// count.
const MAX_STEP_AGE: Duration = Duration::from_secs(1);
/// Directories that exist while git applies several commits one after the other.
const SEQUENCE_DIRS: [&str; 3] = ["rebase-merge", "rebase-apply", "sequencer"];

/// The git directories of the watched trees.
#[derive(Debug, Default)]
pub(crate) struct GitDirs {
    dirs: Vec<PathBuf>,
}

impl GitDirs {
    /// Adds the repository that contains a directory, if there is one.
    pub(crate) fn add_repository_of(&mut self, inside: &Path) {
        if let Some(dir) = inside.ancestors().find_map(|dir| git_dir(&dir.join(".git")))
            && !self.dirs.contains(&dir)
        {
            self.dirs.push(dir);
        }
    }

    /// The lock file or directory of a running git operation, if there is one.
    pub(crate) fn lock(&self, now: SystemTime) -> Option<PathBuf> {
        self.dirs.iter().find_map(|dir| index_lock(dir, now).or_else(|| sequence_dir(dir, now)))
    }

    /// Whether git has updated an index within the last two seconds.
    pub(crate) fn has_just_updated(&self, now: SystemTime) -> bool {
        let is_new = |dir: &PathBuf| age(&dir.join("index"), now).is_some_and(|age| age < 2 * MAX_STEP_AGE);
        self.dirs.iter().any(is_new)
    }
}

/// Resolves `.git`, which is a file with the directory's path in a linked worktree and in a submodule.
fn git_dir(path: &Path) -> Option<PathBuf> {
    let kind = std::fs::metadata(path).ok()?;
    if kind.is_dir() {
        return Some(path.to_owned());
    }
    let text = std::fs::read(path).ok().filter(|_| kind.is_file())?;
    let name = text.strip_prefix(b"gitdir: ")?.trim_ascii_end();
    Some(path.parent()?.join(std::ffi::OsStr::from_bytes(name)))
}

fn index_lock(dir: &Path, now: SystemTime) -> Option<PathBuf> {
    let lock = dir.join("index.lock");
    age(&lock, now).filter(|age| *age < MAX_LOCK_AGE).map(|_| lock)
}

fn sequence_dir(dir: &Path, now: SystemTime) -> Option<PathBuf> {
    let sequence = SEQUENCE_DIRS.iter().map(|name| dir.join(name)).find(|sequence| sequence.is_dir())?;
    let touched = [sequence.clone(), dir.join("HEAD"), dir.join("index")];
    touched.iter().filter_map(|path| age(path, now)).any(|age| age < MAX_STEP_AGE).then_some(sequence)
}

fn age(path: &Path, now: SystemTime) -> Option<Duration> {
    let modified = std::fs::symlink_metadata(path).ok()?.modified().ok()?;
    Some(now.duration_since(modified).unwrap_or_default())
}
