//! One root, and the directories that must be watched to see it appear and disappear.

use std::collections::{BTreeSet, HashSet};
use std::path::{Component, Path, PathBuf};

use crate::watch::fs::{FileSignature, starts_with};
use crate::watch::queue::{RawEvent, RawEventKind};
use crate::watch::snapshot::{SnapshotDir, SnapshotSync};
use crate::watch::{options::Options, source::MAX_ANCHORS_PER_ROOT};

/// Maximum number of symbolic links in a chain, as in the kernel.
const MAX_LINKS: usize = 40;

/// The kind of entry at the path of a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RootKind {
    Missing,
    /// A directory, or a symbolic link to one.
    Dir,
    /// Anything else, including a dangling symbolic link.
    File,
}

impl RootKind {
    pub(super) fn of_path(path: &Path) -> Self {
        match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => Self::Dir,
            Ok(_) => Self::File,
            Err(_) if std::fs::symlink_metadata(path).is_ok() => Self::File,
            Err(_) => Self::Missing,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Root {
    /// Absolute. Only the last component may be a symbolic link.
    pub(crate) path: PathBuf,
    /// The kind that the snapshot is in line with.
    pub(crate) kind: RootKind,
    /// If `path` is a symbolic link: the further links on the way from it, and last the path at their end.
    link_steps: Vec<PathBuf>,
    /// The directory has no entries, so it may be about to be removed. While a process has it as its working
    /// directory, its own watch does not report the removal.
    is_empty: bool,
}

impl Root {
    /// The roots of a watch, and the files that always count, each once.
    pub(crate) fn all(options: &Options) -> Vec<Self> {
        let mut known = HashSet::new();
        let paths = options.roots.iter().chain(&options.always);
        let paths = paths.map(|path| resolve_parents(&options.rules.base.join(path)));
        let new_root = |path: PathBuf| Self {
            kind: RootKind::of_path(&path),
            link_steps: link_steps(&path),
            path,
            is_empty: false,
        };
        paths.filter(|path| known.insert(path.clone())).map(new_root).collect()
    }

    pub(crate) fn is_dir(&self) -> bool {
        self.kind == RootKind::Dir
    }

    pub(super) fn is_link(&self) -> bool {
        !self.link_steps.is_empty()
    }

    /// Whether the root, or a step on the way of its links, is `path` or lies below it.
    pub(super) fn depends_on(&self, path: &Path) -> bool {
        std::iter::once(&self.path).chain(&self.link_steps).any(|own| starts_with(own, path))
    }

    /// The event for a root that is a file, after an event on the way of its links.
    pub(super) fn event_through_link(&self, event: &RawEvent) -> Option<RawEvent> {
        let end = self.link_steps.last()?;
        if self.is_dir() || !self.link_steps.iter().any(|step| starts_with(step, &event.path)) {
            return None;
        }
        // Only the creation of a file is followed by a close.
        let is_complete = event.kind == RawEventKind::Created && event.path != *end;
        let kind = if is_complete { RawEventKind::Written } else { event.kind };
        Some(RawEvent::new(self.path.clone(), kind))
    }

    /// Whether the anchors are to be chosen again after an event for `path`, on which the root depends: a
    /// missing directory may exist now, or a link may lead elsewhere.
    pub(super) fn needs_anchors_after(&self, path: &Path) -> bool {
        let is_below = |step: &PathBuf| step != path && starts_with(step, path);
        match self.kind {
            RootKind::Missing => true,
            RootKind::Dir => false,
            RootKind::File => {
                self.link_steps.iter().any(is_below) || link_steps(&self.path) != self.link_steps
            }
        }
    }

    /// Examines whether the directory has no entry at all. Returns whether the answer has changed.
    pub(super) fn update_is_empty(&mut self, sync: &SnapshotSync) -> bool {
        let has_no_files = {
            let snapshot = sync.snapshot();
            snapshot.dir(&self.path).is_some_and(|dir| dir.files.is_empty() && dir.dirs.is_empty())
        };
        // The directory is read only if it has nothing that counts.
        let has_no_entries = || std::fs::read_dir(&self.path).is_ok_and(|mut all| all.next().is_none());
        let is_empty = has_no_files && has_no_entries();
        std::mem::replace(&mut self.is_empty, is_empty) != is_empty
    }

    /// Whether the kind of the root has changed, or the snapshot has another directory in its place.
    pub(super) fn has_moved(&self, sync: &SnapshotSync) -> bool {
        let snapshot = sync.snapshot();
        let present = |path: &Path| snapshot.dir(path).filter(|dir| !dir.is_missing());
        // The slash makes the kernel follow a symbolic link.
        let is_other = |dir: &SnapshotDir| {
            let found = FileSignature::of_path(&self.path.join(""));
            found.is_ok_and(|found| found.inode != dir.signature.inode)
        };
        match (self.kind, RootKind::of_path(&self.path)) {
            (RootKind::Missing, RootKind::Missing) => false,
            (RootKind::Dir, RootKind::Dir) => present(&self.path).is_none_or(is_other),
            (RootKind::File, RootKind::File) => {
                self.path.parent().is_some_and(|home| present(home).is_none())
            }
            (known, found) => known != found,
        }
    }

    /// The directories outside the tree in which the root appears and disappears.
    pub(super) fn anchors(&mut self) -> BTreeSet<PathBuf> {
        self.link_steps = link_steps(&self.path);
        let wanted = match self.kind {
            RootKind::Missing => MAX_ANCHORS_PER_ROOT,
            RootKind::Dir if self.is_empty => MAX_ANCHORS_PER_ROOT,
            RootKind::Dir if self.is_link() => 1,
            _ => 0,
        };
        let mut anchors: BTreeSet<PathBuf> = existing_parents(&self.path, wanted).collect();
        if let Some((end, links)) = self.link_steps.split_last() {
            anchors.extend(links.iter().flat_map(|link| existing_parents(link, 1)));
            let wanted = match RootKind::of_path(end) {
                RootKind::File => 1,
                RootKind::Dir if !self.is_empty => 0,
                _ => MAX_ANCHORS_PER_ROOT,
            };
            anchors.extend(existing_parents(end, wanted));
        }
        anchors
    }
}

/// The nearest directories above a path that exist, at most `limit`.
fn existing_parents(path: &Path, limit: usize) -> impl Iterator<Item = PathBuf> {
    path.ancestors().skip(1).filter(|parent| parent.is_dir()).take(limit).map(Path::to_owned)
}

/// The further symbolic links on the way from a link, also those to directories, and last the path at their
/// end. Empty if the path is no symbolic link.
fn link_steps(path: &Path) -> Vec<PathBuf> {
    let mut steps = Vec::new();
    if !path.is_symlink() {
        return steps;
    }
    let mut at = PathBuf::new();
    let mut left: Vec<_> = path.components().rev().map(|part| part.as_os_str().to_owned()).collect();
    while let Some(part) = left.pop() {
        match part.as_encoded_bytes() {
            b"." => continue,
            b".." => _ = at.pop(),
            _ => at.push(part),
        }
        if let Ok(target) = std::fs::read_link(&at)
            && steps.len() < MAX_LINKS
        {
            steps.push(at.clone());
            at.pop();
            left.extend(target.components().rev().map(|part| part.as_os_str().to_owned()));
        }
    }
    steps.push(at);
    // The first one is the path itself.
    steps.split_off(1)
}

/// Resolves the symbolic links in each component but the last. Components that do not exist stay as they are.
fn resolve_parents(path: &Path) -> PathBuf {
    // After `..` the last component is not the name of a link.
    if matches!(path.components().next_back(), Some(Component::ParentDir)) {
        return path.canonicalize().unwrap_or_else(|_| path.to_owned());
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return path.components().collect();
    };
    match parent.canonicalize() {
        Ok(parent) => parent.join(name),
        Err(_) => resolve_parents(parent).join(name),
    }
}
