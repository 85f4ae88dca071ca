//! The roots: which exist, and which directories around them must be watched to see them come and go.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::source::ANCHORS;

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
    /// It has nothing in it: it may be about to be removed, which its own watch does not tell while a process
    /// is in it.
    pub(crate) empty: bool,
}

impl Root {
    /// The root that `path` means for somebody in `base`.
    pub(crate) fn new(base: &Path, path: &Path) -> Self {
        let path = resolved(&base.join(path));
        let state = probe(&path);
        Self { path, state, empty: false }
    }

    /// The directories whose entries tell of it.
    pub(crate) fn anchors(&self) -> BTreeSet<PathBuf> {
        let is_link = std::fs::symlink_metadata(&self.path).is_ok_and(|found| found.is_symlink());
        let parents = self.path.ancestors().skip(1);
        let wanted = match self.state {
            State::Missing => ANCHORS,
            State::Dir if self.empty => ANCHORS,
            State::Dir if is_link => 1,
            _ => 0,
        };
        parents.take(wanted).filter(|parent| parent.is_dir()).map(Path::to_owned).collect()
    }
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
