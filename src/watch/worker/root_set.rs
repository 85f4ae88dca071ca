//! The roots: which exist, and what to do when one appears, disappears or is replaced.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use crate::watch::options::Options;
use crate::watch::queue::{RawEvent, RawEventKind};
use crate::watch::snapshot::{SnapshotDir, SnapshotFile, SnapshotSync, SyncMode};
use crate::watch::summary::RootPresence;

use super::root::{Root, RootKind};

/// The roots of a watch, each once.
#[derive(Debug)]
pub(crate) struct RootSet {
    roots: Vec<Root>,
}

/// The result of checking the roots.
#[derive(Debug, Default)]
pub(super) struct RootCheck {
    /// What differs from the snapshot.
    pub(super) events: Vec<RawEvent>,
    /// A root was entered or left.
    pub(super) has_changed: bool,
    /// The set of anchors is to be computed again.
    pub(super) needs_anchors: bool,
}

impl RootSet {
    /// The roots of the options, and the files that always count.
    pub(crate) fn new(options: &Options) -> Self {
        let mut known = HashSet::new();
        let paths = options.roots.iter().chain(&options.always);
        let roots = paths.map(|path| Root::new(&options.rules.base, path));
        Self { roots: roots.filter(|root| known.insert(root.path().to_owned())).collect() }
    }

    /// The paths of the roots.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.roots.iter().map(Root::path)
    }

    /// The roots that are no directories. They count even if the rules ignore them.
    pub(crate) fn files(&self) -> HashSet<PathBuf> {
        let files = self.roots.iter().filter(|root| !root.is_dir());
        files.map(|root| root.path().to_owned()).collect()
    }

    /// The roots that are directories.
    pub(super) fn dirs(&self) -> impl Iterator<Item = &Path> {
        self.roots.iter().filter(|root| root.is_dir()).map(Root::path)
    }

    /// Each root, with whether it exists.
    pub(super) fn presence(&self) -> Vec<RootPresence> {
        let presence = |root: &Root| RootPresence::new(root.path().to_owned(), root.is_missing());
        self.roots.iter().map(presence).collect()
    }

    /// The directories outside the trees in which roots appear and disappear.
    pub(super) fn anchors(&mut self) -> BTreeSet<PathBuf> {
        self.roots.iter_mut().flat_map(Root::anchors).collect()
    }

    /// Takes an event for a path that is a root, or lies above one.
    pub(super) fn check_path(&mut self, path: &Path, sync: &mut SnapshotSync) -> RootCheck {
        let mut check = RootCheck::default();
        for index in 0..self.roots.len() {
            if !self.roots[index].depends_on(path) {
                continue;
            }
            if let Some(events) = self.check(index, path, sync) {
                check.events.extend(events);
                check.has_changed = true;
            }
            // A missing root may have an existing parent now.
            check.needs_anchors |= self.roots[index].is_missing();
        }
        check.needs_anchors |= check.has_changed;
        check
    }

    /// Checks the roots that were replaced, created or removed without an event.
    pub(super) fn check_moved(&mut self, sync: &mut SnapshotSync) -> RootCheck {
        let indices = 0..self.roots.len();
        let moved: Vec<_> = indices.filter(|index| has_moved(&self.roots[*index], sync)).collect();
        let mut check = RootCheck::default();
        for index in moved {
            let path = self.roots[index].path().to_owned();
            if let Some(events) = self.check(index, &path, sync) {
                check.events.extend(events);
                check.has_changed = true;
            }
        }
        check.needs_anchors = check.has_changed;
        check
    }

    /// Checks the directories that may have become empty, and so may be about to be removed.
    pub(super) fn check_emptied(&mut self, sync: &mut SnapshotSync) -> RootCheck {
        let mut check = RootCheck::default();
        for index in 0..self.roots.len() {
            if !self.roots[index].is_dir() {
                continue;
            }
            check.needs_anchors |= self.roots[index].update_is_empty(sync);
            if !has_moved(&self.roots[index], sync) {
                continue;
            }
            let path = self.roots[index].path().to_owned();
            if let Some(events) = self.check(index, &path, sync) {
                check.events.extend(events);
                check.has_changed = true;
            }
        }
        check.needs_anchors |= check.has_changed;
        check
    }

    /// Walks each root as it exists now.
    pub(super) fn enter_all_again(&mut self, sync: &mut SnapshotSync) -> Vec<RawEvent> {
        let mut events = Vec::new();
        for index in 0..self.roots.len() {
            let kind = RootKind::of_path(self.roots[index].path());
            self.roots[index].set_kind(kind);
            events.extend(self.enter(index, SyncMode::Rescan, sync));
        }
        events
    }

    /// Number of roots.
    pub(super) fn len(&self) -> usize {
        self.roots.len()
    }

    /// The path of a root.
    pub(super) fn path(&self, index: usize) -> &Path {
        self.roots[index].path()
    }

    /// Walks a root.
    pub(super) fn enter(
        &mut self,
        index: usize,
        mode: SyncMode<'_>,
        sync: &mut SnapshotSync,
    ) -> Vec<RawEvent> {
        let path = self.roots[index].path().to_owned();
        match self.roots[index].kind() {
            RootKind::Dir => {
                let events = sync.sync(&path, mode);
                self.roots[index].update_is_empty(sync);
                events
            }
            RootKind::File => {
                let Some(home) = path.parent() else { return Vec::new() };
                let is_known = || sync.snapshot().dir(home).is_some_and(|dir| !dir.has_root_files_only());
                if self.is_in_tree(home, sync) || is_known() {
                    return Vec::new();
                }
                self.sync_root_files(home, mode, sync)
            }
            RootKind::Missing => Vec::new(),
        }
    }

    /// Compares the roots that are files in one directory with the disk.
    pub(super) fn sync_root_files(
        &self,
        home: &Path,
        mode: SyncMode<'_>,
        sync: &mut SnapshotSync,
    ) -> Vec<RawEvent> {
        let names = self.paths().filter(|path| path.parent() == Some(home));
        let names: Vec<_> = names.map(Path::to_owned).collect();
        sync.sync_names(home, &names, mode)
    }

    /// The roots that are files, with their entries in the snapshot.
    pub(super) fn known_files(&self, sync: &SnapshotSync) -> Vec<(usize, SnapshotFile)> {
        let snapshot = sync.snapshot();
        let known = |(index, root): (usize, &Root)| Some((index, snapshot.file(root.path())?.clone()));
        self.roots.iter().enumerate().filter_map(known).collect()
    }

    /// Puts files back that have left the snapshot with an ignored directory, because a root
    /// counts even if the rules ignore it.
    pub(super) fn restore_files(
        &mut self,
        known: Vec<(usize, SnapshotFile)>,
        sync: &mut SnapshotSync,
    ) -> Vec<RawEvent> {
        let mut events = Vec::new();
        for (index, file) in known {
            let path = self.roots[index].path().to_owned();
            if sync.snapshot().file(&path).is_some() {
                continue;
            }
            events.extend(self.enter(index, SyncMode::Rescan, sync));
            if let Some(home) = path.parent() {
                sync.snapshot().insert_file(home, file);
            }
            events.push(RawEvent::new(path, RawEventKind::Written));
        }
        events
    }

    /// Enters or leaves a root if it has appeared, disappeared or been replaced. `event_path` is the root's
    /// path or one above it. Returns `None` if the root needs nothing.
    fn check(&mut self, index: usize, event_path: &Path, sync: &mut SnapshotSync) -> Option<Vec<RawEvent>> {
        let path = self.roots[index].path().to_owned();
        let (was, is) = (self.roots[index].kind(), RootKind::of_path(&path));
        let home = path.parent().unwrap_or(&path);
        let home_extent = HomeExtent::of(home, sync);
        match (was, is) {
            (RootKind::Missing, RootKind::Missing) => return None,
            // The watch of its directory reports what happens to the file.
            (RootKind::File, _) if home_extent == HomeExtent::Whole => return None,
            (RootKind::File | RootKind::Missing, RootKind::File | RootKind::Missing)
                if self.is_in_tree(home, sync) =>
            {
                // A missing file in a tree stays a file here, because it needs no anchors.
                if is == RootKind::File {
                    self.roots[index].set_kind(is);
                }
                return None;
            }
            (RootKind::File, RootKind::File | RootKind::Missing)
                if home_extent == HomeExtent::RootFiles { is_missing: false } && event_path == path =>
            {
                return None;
            }
            _ => {}
        }
        Some(self.reenter(index, is, home_extent, sync))
    }

    /// Leaves the old state of a root, and enters the new one.
    fn reenter(
        &mut self,
        index: usize,
        is: RootKind,
        home_extent: HomeExtent,
        sync: &mut SnapshotSync,
    ) -> Vec<RawEvent> {
        let path = self.roots[index].path().to_owned();
        let home = path.parent().unwrap_or(&path);
        let has_root_files_only = matches!(home_extent, HomeExtent::RootFiles { .. });
        if is == RootKind::Dir && !self.roots[index].is_dir() {
            // The rules may have been read before the directory existed.
            sync.forget_rules(&path);
        }
        self.roots[index].set_kind(is);
        // The watches may be on the directory that was here before.
        let mut below = sync.snapshot().dirs_below(&path);
        if has_root_files_only {
            below.push(home.to_owned());
        }
        sync.unwatch(below);
        let mut events = Vec::new();
        if is != RootKind::Dir {
            events.extend(sync.mark_missing_below(&path));
        }
        if is != RootKind::File && has_root_files_only {
            // Other roots in the same directory may still exist.
            events.extend(self.sync_root_files(home, SyncMode::Rewatch, sync));
        }
        events.extend(self.enter(index, SyncMode::Rewatch, sync));
        events
    }

    /// Whether a directory belongs to the tree of a root.
    fn is_in_tree(&self, dir: &Path, sync: &SnapshotSync) -> bool {
        self.dirs().any(|root| dir.starts_with(root)) && sync.filter().counts_dir(dir)
    }
}

/// What the snapshot has of the directory in which a root lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HomeExtent {
    Unknown,
    Whole,
    RootFiles { is_missing: bool },
}

impl HomeExtent {
    fn of(home: &Path, sync: &SnapshotSync) -> Self {
        match sync.snapshot().dir(home) {
            None => Self::Unknown,
            Some(dir) if dir.has_root_files_only() => Self::RootFiles { is_missing: dir.is_missing() },
            Some(_) => Self::Whole,
        }
    }
}

/// Whether the kind of the root has changed, or the snapshot has another directory in its place.
fn has_moved(root: &Root, sync: &SnapshotSync) -> bool {
    let snapshot = sync.snapshot();
    let present = |path: &Path| snapshot.dir(path).filter(|dir| !dir.is_missing());
    match (root.kind(), RootKind::of_path(root.path())) {
        (RootKind::Missing, RootKind::Missing) => false,
        (RootKind::Dir, RootKind::Dir) => {
            let is_other =
                |dir: &SnapshotDir| root.inode().is_some_and(|inode| inode != dir.signature().inode());
            present(root.path()).is_none_or(is_other)
        }
        (RootKind::File, RootKind::File) => root.path().parent().is_some_and(|home| present(home).is_none()),
        (known, found) => known != found,
    }
}
