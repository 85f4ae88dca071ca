//! Brings the snapshot and the watches in line with the disk: at the start, for a new directory, after lost
//! events, and when rules have changed. Returns what differs as raw events; nothing is proven here.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use super::snapshot::{Coverage, Extent, Snapshot, SnapshotDir, SnapshotFile};
use super::walk::{WalkResult, Walker};
use super::watches::WatchRegistry;
use crate::sync;
use crate::watch::queue::{RawEvent, RawEventKind};
use crate::watch::{filter::Filter, fs::is_readable_dir, git::GitDirs};

/// The snapshot with its filter and its watches.
#[derive(Debug)]
pub(crate) struct SnapshotSync {
    snapshot: Arc<Mutex<Snapshot>>,
    pub(crate) filter: Arc<Filter>,
    pub(crate) watches: WatchRegistry,
    /// The repositories around the trees and in the trees.
    pub(crate) git: GitDirs,
    /// A directory with entries whose paths are too long for the kernel, so that they cannot be watched.
    pub(crate) dir_of_long_path: Option<PathBuf>,
}

/// How a walk treats files that the snapshot does not have, and directories that have a watch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SyncMode<'a> {
    /// The first walk: each file enters the snapshot without an event.
    Initial,
    /// Each unknown file is new.
    Rescan,
    /// Each unknown file is new. Each directory is watched again, because it may have been moved.
    Rewatch,
    /// The rules have changed: a file that was ignored until now enters the snapshot without an event.
    NewRules {
        /// Files that changed before this time count as ignored until now. Nanoseconds since the epoch.
        unchanged_since: i64,
        /// Files that wait to be compared, and so are new.
        pending: &'a HashSet<PathBuf>,
    },
}

impl SyncMode<'_> {
    /// Whether a file that the snapshot does not have enters it without an event.
    fn accepts_unknown(self, path: &PathBuf, file: &SnapshotFile) -> bool {
        match self {
            Self::Initial => true,
            Self::Rescan | Self::Rewatch => false,
            Self::NewRules { unchanged_since, pending } => {
                file.signature.changed_before(unchanged_since) && !pending.contains(path)
            }
        }
    }
}

impl SnapshotSync {
    pub(crate) fn new(snapshot: Arc<Mutex<Snapshot>>, filter: Arc<Filter>, watches: WatchRegistry) -> Self {
        Self { snapshot, filter, watches, git: GitDirs::default(), dir_of_long_path: None }
    }

    pub(crate) fn snapshot(&self) -> MutexGuard<'_, Snapshot> {
        sync::lock(&self.snapshot)
    }

    /// Compares a directory tree with the disk.
    pub(crate) fn sync(&mut self, start: &Path, mode: SyncMode<'_>) -> Vec<RawEvent> {
        let mut events = Vec::new();
        let known: Vec<_> = {
            let snapshot = self.snapshot();
            let below = snapshot.dirs_below(start).into_iter();
            below.filter(|path| !snapshot.has_root_files_only(path)).collect()
        };
        let mut found_dirs = HashSet::new();
        let (mut starts, mut replaced) = (vec![start.to_owned()], HashSet::new());
        while let Some(start) = starts.pop() {
            let result = self.walk_with(mode, |walker| walker.walk(&start));
            if !known.is_empty() {
                found_dirs.extend(result.dirs.iter().map(|dir| dir.path.to_path_buf()));
            }
            let again = self.merge_all(result, mode, &mut events);
            // Each at most once: further replacements have events of their own.
            starts.extend(again.into_iter().filter(|path| replaced.insert(path.clone())));
        }
        for path in known.iter().filter(|path| !found_dirs.contains(*path)) {
            self.mark_missing(path, &mut events);
        }
        events
    }

    /// Compares one directory with the disk, and the whole tree of each new directory in it.
    pub(crate) fn sync_one(&mut self, path: &Path) -> Vec<RawEvent> {
        let known = self.snapshot().dir(path).map_or_else(Vec::new, |dir| dir.dirs.clone());
        let Some(result) = self.walk_with(SyncMode::Rescan, |walker| walker.read_one(path)) else {
            return self.mark_missing_below(path);
        };
        let mut events = Vec::new();
        let present: Vec<_> = result.dirs.iter().flat_map(|dir| dir.dirs.clone()).collect();
        let replaced = self.merge_all(result, SyncMode::Rescan, &mut events);
        for name in known.iter().filter(|name| !present.contains(name)) {
            events.extend(self.mark_missing_below(&path.join(&**name)));
        }
        let below = present.iter().map(|name| path.join(&**name));
        let new: Vec<_> = {
            let snapshot = self.snapshot();
            let is_new = |path: &PathBuf| snapshot.dir(path).is_none_or(|dir| dir.is_missing());
            below.filter(is_new).chain(replaced).collect()
        };
        for path in &new {
            events.extend(self.sync(path, SyncMode::Rewatch));
        }
        events
    }

    /// Compares files that are roots with the disk. The other entries of their directory do not matter.
    pub(crate) fn sync_names(&mut self, dir: &Path, names: &[PathBuf], mode: SyncMode<'_>) -> Vec<RawEvent> {
        let mut events = Vec::new();
        match self.walk_with(mode, |walker| walker.read_names(dir, names)) {
            Some(found) => merge(&mut sync::lock(&self.snapshot), &self.filter, found, mode, &mut events),
            None => self.mark_missing(dir, &mut events),
        }
        events
    }

    /// Marks a directory tree as gone.
    pub(crate) fn mark_missing_below(&mut self, path: &Path) -> Vec<RawEvent> {
        let mut events = Vec::new();
        let below = self.snapshot().dirs_below(path);
        for path in &below {
            self.mark_missing(path, &mut events);
        }
        events
    }

    /// Watches exactly these directories outside the trees. Returns those without a watch in a tree.
    pub(crate) fn set_anchors(&mut self, mut wanted: BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
        let snapshot = sync::lock(&self.snapshot);
        let is_in_tree = |path: &Path| snapshot.dir(path).is_some_and(|dir| dir.coverage == Coverage::Events);
        wanted.retain(|path| !is_in_tree(path));
        self.watches.set_anchors(wanted.clone(), is_in_tree);
        wanted
    }

    /// Watches everything with a new instance, because events were lost.
    pub(crate) fn renew_watches(&mut self) {
        let dirs = {
            let snapshot = self.snapshot();
            let watched = snapshot.dirs().filter(|dir| dir.coverage == Coverage::Events);
            watched.map(|dir| dir.path.to_path_buf()).collect()
        };
        let placed = self.watches.renew(dirs);
        self.set_coverage(&placed);
    }

    /// Lets events report when an unreadable directory can be read.
    pub(crate) fn watch_unreadable(&mut self) {
        let parents: Vec<PathBuf> = {
            let snapshot = self.snapshot();
            let unreadable = snapshot.dirs().filter(|dir| dir.is_unreadable());
            let parent_of = |dir: &SnapshotDir| match dir.path.parent() {
                Some(parent) if snapshot.dir(parent).is_some() => Some(parent.to_owned()),
                // A root may be a symbolic link.
                _ => dir.path.canonicalize().ok()?.parent().map(Path::to_owned),
            };
            unreadable.filter_map(parent_of).collect()
        };
        self.watches.watch_attributes(&parents);
    }

    /// Marks the directory as unreadable that hides a path. It is compared with the disk when it can be read.
    pub(crate) fn mark_unreadable_above(&self, path: &Path) {
        let mut snapshot = self.snapshot();
        let known = path.ancestors().skip(1).take_while(|dir| snapshot.dir(dir).is_some());
        let Some(closed) = known.filter(|dir| !is_readable_dir(dir)).last() else { return };
        if let Some(dir) = snapshot.dir_mut(closed).filter(|dir| dir.extent == Extent::All) {
            tracing::debug!(dir = ?closed, "directory can no longer be read");
            dir.extent = Extent::Unreadable;
        }
    }

    /// The unreadable directories that can be read now.
    pub(crate) fn readable_again(&self) -> Vec<PathBuf> {
        let snapshot = self.snapshot();
        let readable = snapshot.dirs().filter(|dir| dir.is_unreadable() && is_readable_dir(&dir.path));
        readable.map(|dir| dir.path.to_path_buf()).collect()
    }

    /// Tries to watch the directories that are scanned because of a limit. Returns those with a watch now.
    pub(crate) fn retry_watches(&mut self) -> HashSet<PathBuf> {
        if !self.watches.retry() {
            return HashSet::new();
        }
        let waiting: Vec<_> = {
            let snapshot = self.snapshot();
            let polled = snapshot.dirs().filter(|dir| dir.coverage == Coverage::Polling);
            let for_events = polled.filter(|dir| self.watches.is_for_events(&dir.path));
            for_events.map(|dir| dir.path.to_path_buf()).collect()
        };
        let mut placed = self.watches.place_all(waiting);
        placed.retain(|(_, coverage)| *coverage == Coverage::Events);
        self.set_coverage(&placed);
        placed.into_iter().map(|(path, _)| path).collect()
    }

    fn set_coverage(&self, placed: &[(PathBuf, Coverage)]) {
        let mut snapshot = self.snapshot();
        for (path, coverage) in placed {
            if let Some(dir) = snapshot.dir_mut(path) {
                dir.coverage = *coverage;
            }
        }
    }

    /// Reads directories. Watches each of them first, unless it has a watch and is not to be watched again.
    fn walk_with<T>(&mut self, mode: SyncMode<'_>, walk: impl FnOnce(&Walker<'_>) -> T) -> T {
        let (watched, polled) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (snapshot, watches) = (&self.snapshot, Mutex::new(&mut self.watches));
        let place_watch = |dir: &Path, inode: u64| {
            // A directory with another inode is a new one, for which the watch of its path does not count.
            let is_watched =
                |known: &SnapshotDir| known.signature.inode == inode && known.coverage == Coverage::Events;
            let has_watch =
                !matches!(mode, SyncMode::Rewatch) && sync::lock(snapshot).dir(dir).is_some_and(is_watched);
            if has_watch {
                return Some(Coverage::Events);
            }
            let coverage = sync::lock(&watches).place(dir)?;
            let counter = if coverage == Coverage::Events { &watched } else { &polled };
            counter.fetch_add(1, Ordering::Relaxed);
            Some(coverage)
        };
        let dir_of_long_path = OnceLock::new();
        let result = walk(&Walker::new(&self.filter, &place_watch, &dir_of_long_path));
        self.dir_of_long_path = self.dir_of_long_path.take().or(dir_of_long_path.into_inner());
        let (watched, polled) = (watched.into_inner(), polled.into_inner());
        if watched + polled > 0 {
            tracing::debug!(directories = watched, polled, "watches placed");
        }
        result
    }

    /// Merges the result of a walk into the snapshot. Returns the directories to be walked again.
    fn merge_all(
        &mut self,
        found: WalkResult,
        mode: SyncMode<'_>,
        events: &mut Vec<RawEvent>,
    ) -> Vec<PathBuf> {
        for dir in &found.repositories {
            self.git.add_repository_of(dir);
        }
        let mut snapshot = sync::lock(&self.snapshot);
        for dir in found.dirs {
            merge(&mut snapshot, &self.filter, dir, mode, events);
        }
        found.replaced
    }

    /// Marks a directory as gone. If it counts, its files stay until they are compared, because it may be
    /// back by then. If it does not count any more, it leaves the snapshot.
    fn mark_missing(&mut self, path: &Path, events: &mut Vec<RawEvent>) {
        let counts = self.filter.counts_dir(path);
        let mut snapshot = sync::lock(&self.snapshot);
        let Some(dir) = snapshot.dir_mut(path) else { return };
        if counts || dir.has_root_files_only() {
            dir.coverage = Coverage::Missing;
            let removed = |file: &SnapshotFile| RawEvent::new(path.join(&*file.name), RawEventKind::Removed);
            events.extend(dir.files.iter().map(removed));
            snapshot.prune(path);
        } else {
            let removed = snapshot.remove_below(path);
            drop(snapshot);
            self.watches.remove(removed);
        }
    }
}

/// Inserts a directory as found on disk. A file that differs stays in the snapshot as last reported; the
/// returned event makes the worker compare it.
fn merge(
    snapshot: &mut Snapshot,
    filter: &Filter,
    found: SnapshotDir,
    mode: SyncMode<'_>,
    events: &mut Vec<RawEvent>,
) {
    let known = snapshot.dir(&found.path);
    report_rule_files(known, &found, events);
    if known.is_none() && matches!(mode, SyncMode::Initial) {
        snapshot.insert_dir(found);
        return;
    }
    let mut files = merge_found_files(known, &found, mode, events);
    let mut dirs = found.dirs.clone();
    if let Some(known) = known {
        for file in known.files.iter().filter(|file| found.file(&file.name).is_none()) {
            let path = found.path.join(&*file.name);
            if filter.counts_file(&path) {
                events.push(RawEvent::new(path, RawEventKind::Removed));
                files.push(file.clone());
            }
        }
        let gone = known.dirs.iter().filter(|name| found.dirs.binary_search(name).is_err());
        dirs.extend(gone.filter(|name| snapshot.dir(&found.path.join(&***name)).is_some()).cloned());
    }
    snapshot.insert_dir(found.with_entries(files, dirs));
}

/// The files of a directory on disk, as the snapshot is to have them.
fn merge_found_files(
    known: Option<&SnapshotDir>,
    found: &SnapshotDir,
    mode: SyncMode<'_>,
    events: &mut Vec<RawEvent>,
) -> Vec<SnapshotFile> {
    let mut files = Vec::with_capacity(found.files.len());
    for file in &found.files {
        let path = || found.path.join(&*file.name);
        if let Some(known) = known.and_then(|dir| dir.file(&file.name)) {
            if !known.is_unchanged(&file.signature) {
                events.push(RawEvent::new(path(), RawEventKind::Written));
            }
            files.push(known.clone());
            continue;
        }
        let path = path();
        if mode.accepts_unknown(&path, file) {
            files.push(file.clone());
        } else {
            // A program that has created an empty file most likely writes to it next.
            let is_new = file.signature.is_empty_file();
            let kind = if is_new { RawEventKind::Created } else { RawEventKind::Written };
            events.push(RawEvent::new(path, kind));
        }
    }
    files
}

/// Reports rule files that were created, removed or changed after they were read, or may have been.
fn report_rule_files(known: Option<&SnapshotDir>, found: &SnapshotDir, events: &mut Vec<RawEvent>) {
    let known_files = known.map_or(&[][..], |dir| &dir.rule_files);
    let has_changed = |file: &&SnapshotFile| match known_files.iter().find(|known| known.name == file.name) {
        Some(known) => !known.is_unchanged(&file.signature),
        None => file.is_racy || known.is_some(),
    };
    let is_gone = |known: &&SnapshotFile| !found.rule_files.iter().any(|file| file.name == known.name);
    let changed = found.rule_files.iter().filter(has_changed);
    let gone = known_files.iter().filter(is_gone);
    let event = |file: &SnapshotFile| RawEvent::new(found.path.join(&*file.name), RawEventKind::Written);
    events.extend(changed.chain(gone).map(event));
}
