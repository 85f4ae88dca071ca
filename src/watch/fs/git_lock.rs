//! Whether git is at work in the watched trees: a burst is held back until it has finished. Looked at only while
//! a burst is pending, since git's own files are not watched.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// An older lock was left behind by a git that is no more. It is also the longest that a burst is held back.
const LOCK_LIFE: Duration = Duration::from_secs(30);
/// A rebase that has moved nothing for so long waits for the developer, whose edits count.
const AT_WORK: Duration = Duration::from_secs(1);
/// What says that several commits are being applied, one after the other.
const SEQUENCES: [&str; 3] = ["rebase-merge", "rebase-apply", "sequencer"];

/// The git directories of the watched trees.
#[derive(Debug, Default)]
pub(crate) struct GitDirs {
    dirs: Vec<PathBuf>,
}

impl GitDirs {
    /// Adds the repository that a directory is in.
    pub(crate) fn add(&mut self, inside: &Path) {
        if let Some(dir) = inside.ancestors().find_map(|dir| git_dir(&dir.join(".git")))
            && !self.dirs.contains(&dir)
        {
            self.dirs.push(dir);
        }
    }

    /// The file that says that git is at work, if it is.
    pub(crate) fn marker(&self, now: SystemTime) -> Option<PathBuf> {
        self.dirs.iter().find_map(|dir| lock(dir, now).or_else(|| sequence(dir, now)))
    }
}

impl GitDirs {
    /// Whether git has changed what is checked out, not long ago.
    pub(crate) fn moved_lately(&self, now: SystemTime) -> bool {
        let moved = |dir: &PathBuf| age(&dir.join("index"), now).is_some_and(|age| age < 2 * AT_WORK);
        self.dirs.iter().any(moved)
    }
}

/// In a linked worktree and in a submodule `.git` is a file that names the directory.
fn git_dir(path: &Path) -> Option<PathBuf> {
    let kind = std::fs::metadata(path).ok()?;
    if kind.is_dir() {
        return Some(path.to_owned());
    }
    let text = std::fs::read(path).ok().filter(|_| kind.is_file())?;
    let name = text.strip_prefix(b"gitdir: ")?.trim_ascii_end();
    Some(path.parent()?.join(std::ffi::OsStr::from_bytes(name)))
}

fn lock(dir: &Path, now: SystemTime) -> Option<PathBuf> {
    let lock = dir.join("index.lock");
    age(&lock, now).filter(|age| *age < LOCK_LIFE).map(|_| lock)
}

fn sequence(dir: &Path, now: SystemTime) -> Option<PathBuf> {
    let marker = SEQUENCES.iter().map(|name| dir.join(name)).find(|marker| marker.is_dir())?;
    let moved = [marker.clone(), dir.join("HEAD"), dir.join("index")];
    moved.iter().filter_map(|path| age(path, now)).any(|age| age < AT_WORK).then_some(marker)
}

fn age(path: &Path, now: SystemTime) -> Option<Duration> {
    let changed = std::fs::symlink_metadata(path).ok()?.modified().ok()?;
    Some(now.duration_since(changed).unwrap_or_default())
}
