//! The roots: which exist, and which directories around them must be watched to see them come and go.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use crate::watch::fs::paths::starts_with;
use crate::watch::source::watcher::ANCHORS;

/// As many links as the kernel follows.
const MOST_LINKS: usize = 40;

/// What a root is at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Missing,
    Dir,
    File,
}

/// One root.
#[derive(Debug)]
pub(crate) struct Root {
    /// Absolute; only its last component may be a symbolic link.
    pub(crate) path: PathBuf,
    pub(crate) state: State,
    /// Where a symbolic link in its place leads, link by link.
    stations: Vec<PathBuf>,
    /// It has nothing in it: it may be about to be removed, which its own watch does not tell while a process
    /// is in it.
    pub(crate) empty: bool,
}

impl Root {
    /// The root that `path` means for somebody in `base`.
    pub(crate) fn new(base: &Path, path: &Path) -> Self {
        let path = resolved(&base.join(path));
        let state = probe(&path);
        Self { stations: stations(&path), path, state, empty: false }
    }

    /// Whether it is this path or below it, or is so by the symbolic link in its place.
    pub(crate) fn stands_on(&self, path: &Path) -> bool {
        std::iter::once(&self.path).chain(&self.stations).any(|station| starts_with(station, path))
    }

    /// The directories whose entries tell of it.
    pub(crate) fn anchors(&mut self) -> BTreeSet<PathBuf> {
        self.stations = stations(&self.path);
        let wanted = match self.state {
            State::Missing => ANCHORS,
            State::Dir if self.empty => ANCHORS,
            State::Dir if !self.stations.is_empty() => 1,
            _ => 0,
        };
        let mut anchors: BTreeSet<PathBuf> = parents(&self.path, wanted).collect();
        if let Some((end, links)) = self.stations.split_last() {
            anchors.extend(links.iter().flat_map(|link| parents(link, 1)));
            let may_go = self.empty || probe(end) == State::Missing;
            anchors.extend(parents(end, if may_go { ANCHORS } else { 0 }));
        }
        anchors
    }
}

/// The nearest directories above a path that are there, so many at most.
fn parents(path: &Path, most: usize) -> impl Iterator<Item = PathBuf> {
    path.ancestors().skip(1).filter(|parent| parent.is_dir()).take(most).map(Path::to_owned)
}

/// Where a symbolic link leads, link by link; nothing if it is none.
fn stations(path: &Path) -> Vec<PathBuf> {
    let next = |at: &PathBuf| Some(resolved(&at.parent()?.join(std::fs::read_link(at).ok()?)));
    std::iter::successors(next(&path.to_owned()), next).take(MOST_LINKS).collect()
}

/// What a path is now; a symbolic link to a directory is one.
pub(crate) fn probe(path: &Path) -> State {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => State::Dir,
        Ok(_) => State::File,
        // A link that leads nowhere is a path with content of its own.
        Err(_) if std::fs::symlink_metadata(path).is_ok() => State::File,
        Err(_) => State::Missing,
    }
}

/// Resolves every component but the last; what does not exist is kept as it is written.
fn resolved(path: &Path) -> PathBuf {
    // After `..` no name of a link is left to keep.
    if matches!(path.components().next_back(), Some(Component::ParentDir)) {
        return path.canonicalize().unwrap_or_else(|_| path.to_owned());
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return path.components().collect();
    };
    match parent.canonicalize() {
        Ok(parent) => parent.join(name),
        Err(_) => resolved(parent).join(name),
    }
}
