//! Brings the snapshot and the watches in line with the disk: at the start, for a new directory, after lost
//! events, and when rules have changed. Returns what differs as raw events; nothing is proven here.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use crate::sync;
use crate::watch::filter::Filter;
use crate::watch::fs::GitDirs;
use crate::watch::queue::{RawEvent, RawEventKind};
use crate::watch::source::Mounts;

use super::merge::{SyncMode, merge};
use super::snapshot::{Coverage, Snapshot};
use super::walk::{PlaceWatch, WalkResult, Walker};
use super::watches::WatchRegistry;

/// The snapshot with its filter and its watches.
#[derive(Debug)]
pub(crate) struct SnapshotSync {
    snapshot: Arc<Mutex<Snapshot>>,
    filter: Arc<Filter>,
    watches: WatchRegistry,
    git: GitDirs,
    /// A limit of watches was hit, and the worker has not reported it yet.
    limit_hit: bool,
}

impl SnapshotSync {
    pub(crate) fn new(snapshot: Arc<Mutex<Snapshot>>, filter: Arc<Filter>, watches: WatchRegistry) -> Self {
        // Without an instance no watch is even tried.
        let limit_hit = watches.is_limited();
        Self { snapshot, filter, watches, git: GitDirs::default(), limit_hit }
    }

    /// The snapshot, locked.
    pub(crate) fn snapshot(&self) -> MutexGuard<'_, Snapshot> {
        sync::lock(&self.snapshot)
    }

    /// The filter.
    pub(crate) fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Makes the rules of a directory tree be read again.
    pub(crate) fn forget_rules(&self, dir: &Path) {
        self.filter.rules().forget(dir);
    }

    /// The lock of a git operation in the watched repositories, if one is running.
    pub(crate) fn git_lock(&self) -> Option<PathBuf> {
        self.git.lock(SystemTime::now())
    }

    /// Whether git has updated an index just before `now`.
    pub(crate) fn has_git_just_updated(&self, now: SystemTime) -> bool {
        self.git.has_just_updated(now)
    }

    /// Adds the repository that contains a root.
    pub(crate) fn add_repository_of(&mut self, root: &Path) {
        self.git.add_repository_of(root);
    }

    /// Whether the limit of watches is used up.
    pub(crate) fn is_limited(&self) -> bool {
        self.watches.is_limited()
    }

    /// Whether kernel events arrive at all.
    pub(crate) fn has_events(&self) -> bool {
        self.watches.has_events()
    }

    /// Whether a kernel event may not be in the queue yet.
    pub(crate) fn is_behind(&self) -> bool {
        self.watches.is_behind()
    }

    /// The mounts by which the mode of each directory is chosen.
    pub(crate) fn mounts(&self) -> Arc<Mounts> {
        self.watches.mounts()
    }

    /// Number of watches outside the trees.
    pub(crate) fn anchor_count(&self) -> usize {
        self.watches.anchor_count()
    }

    /// Whether a limit was hit that the worker has not reported yet.
    pub(crate) fn is_limit_hit(&self) -> bool {
        self.limit_hit
    }

    /// Returns whether a limit was hit since the last call.
    pub(crate) fn take_limit_hit(&mut self) -> bool {
        std::mem::take(&mut self.limit_hit)
    }

    /// Closes the event source. Returns once its thread has ended.
    pub(crate) fn close(self) {
        self.watches.close();
    }

    /// Compares a directory tree with the disk.
    pub(crate) fn sync(&mut self, start: &Path, mode: SyncMode<'_>) -> Vec<RawEvent> {
        let mut events = Vec::new();
        let known: Vec<_> = {
            let snapshot = self.snapshot();
            let has_root_files_only =
                |path: &PathBuf| snapshot.dir(path).is_some_and(|dir| dir.has_root_files_only());
            snapshot.dirs_below(start).into_iter().filter(|path| !has_root_files_only(path)).collect()
        };
        let mut found_dirs = HashSet::new();
        let (mut starts, mut replaced) = (vec![start.to_owned()], HashSet::new());
        while let Some(start) = starts.pop() {
            let result = self.walk_with(mode, |walker| walker.walk(&start));
            if !known.is_empty() {
                found_dirs.extend(result.dirs.iter().map(|dir| dir.path().to_owned()));
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
        let known = self.snapshot().dir(path).map_or_else(Vec::new, |dir| dir.dirs().to_vec());
        let Some(result) = self.walk_with(SyncMode::Rescan, |walker| walker.read_one(path)) else {
            return self.mark_missing_below(path);
        };
        let mut events = Vec::new();
        let present: Vec<_> = result.dirs.iter().flat_map(|dir| dir.dirs().to_vec()).collect();
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
        let names = names.iter().filter_map(|path| path.file_name());
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

    /// Removes the watches of directories.
    pub(crate) fn unwatch(&mut self, dirs: Vec<PathBuf>) {
        self.watches.remove(dirs);
    }

    /// Watches exactly these directories outside the trees. Returns the directories without a watch in a
    /// tree.
    pub(crate) fn set_anchors(&mut self, mut wanted: BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
        let snapshot = sync::lock(&self.snapshot);
        let is_in_tree =
            |path: &Path| snapshot.dir(path).is_some_and(|dir| dir.coverage() == Coverage::Events);
        wanted.retain(|path| !is_in_tree(path));
        self.watches.set_anchors(wanted.clone(), is_in_tree);
        wanted
    }

    /// Watches everything with a new instance, because events were lost.
    pub(crate) fn renew_watches(&mut self) {
        let dirs = {
            let snapshot = self.snapshot();
            let watched = snapshot.dirs().filter(|dir| dir.coverage() == Coverage::Events);
            watched.map(|dir| dir.path().to_owned()).collect()
        };
        let placed = self.watches.renew(dirs);
        self.limit_hit |= placed.is_limit_hit();
        self.set_coverage(placed.polled(), Coverage::Polling);
    }

    /// Tries to watch the directories that are scanned only because of a limit. Returns the directories that
    /// have a watch now.
    pub(crate) fn retry_watches(&mut self) -> Vec<PathBuf> {
        if !self.watches.retry() {
            return Vec::new();
        }
        let waiting: Vec<_> = {
            let snapshot = self.snapshot();
            let polled = snapshot.dirs().filter(|dir| dir.coverage() == Coverage::Polling);
            let for_events = polled.filter(|dir| self.watches.is_for_events(dir.path()));
            for_events.map(|dir| dir.path().to_owned()).collect()
        };
        let placed = self.watches.place_all(waiting.clone());
        let watched: Vec<_> = waiting.into_iter().filter(|path| placed.has_watch(path)).collect();
        self.set_coverage(&watched, Coverage::Events);
        watched
    }

    fn set_coverage<'p>(&self, dirs: impl IntoIterator<Item = &'p PathBuf>, coverage: Coverage) {
        let mut snapshot = self.snapshot();
        for path in dirs {
            if let Some(dir) = snapshot.dir_mut(path) {
                dir.set_coverage(coverage);
            }
        }
    }

    /// Reads directories, and watches each of them first.
    fn walk_with<T>(
        &mut self,
        mode: SyncMode<'_>,
        walk: impl FnOnce(&Walker<'_, WatchPlacer<'_>>) -> T,
    ) -> T {
        let placing = Placing { watches: &mut self.watches, limit_hit: false, watched: 0, polled: 0 };
        let rewatch = matches!(mode, SyncMode::Rewatch);
        let placer = WatchPlacer { rewatch, snapshot: &self.snapshot, placing: Mutex::new(placing) };
        let result = walk(&Walker::new(&self.filter, &placer));
        let Placing { limit_hit, watched, polled, .. } = sync::into_inner(placer.placing);
        self.limit_hit |= limit_hit;
        if watched + polled > 0 {
            tracing::debug!(directories = watched, polled, "watches placed");
        }
        result
    }

    /// Merges the result of a walk into the snapshot. Returns the directories to be walked again.
    fn merge_all(
        &mut self,
        result: WalkResult,
        mode: SyncMode<'_>,
        events: &mut Vec<RawEvent>,
    ) -> Vec<PathBuf> {
        for dir in &result.repositories {
            self.git.add_repository_of(dir);
        }
        let mut snapshot = sync::lock(&self.snapshot);
        for dir in result.dirs {
            merge(&mut snapshot, &self.filter, dir, mode, events);
        }
        result.replaced
    }

    /// Marks a directory as gone. If it counts, its files stay until they are compared, because it may be
    /// back by then. If it does not count any more, it leaves the snapshot.
    fn mark_missing(&mut self, path: &Path, events: &mut Vec<RawEvent>) {
        let counts = self.filter.counts_dir(path);
        let mut snapshot = sync::lock(&self.snapshot);
        let Some(dir) = snapshot.dir_mut(path) else { return };
        if counts || dir.has_root_files_only() {
            dir.set_coverage(Coverage::Missing);
            let removed = |name| RawEvent::new(path.join(name), RawEventKind::Removed);
            events.extend(dir.files().iter().map(|file| removed(file.name())));
            snapshot.prune(path);
        } else {
            let removed = snapshot.remove_below(path);
            drop(snapshot);
            self.watches.remove(removed);
        }
    }
}

/// Places the watch of each directory that a walk finds, unless it has one.
struct WatchPlacer<'a> {
    /// Also directories with a watch are watched again.
    rewatch: bool,
    snapshot: &'a Mutex<Snapshot>,
    placing: Mutex<Placing<'a>>,
}

struct Placing<'a> {
    watches: &'a mut WatchRegistry,
    limit_hit: bool,
    watched: usize,
    polled: usize,
}

impl PlaceWatch for WatchPlacer<'_> {
    fn place_watch(&self, dir: &Path, inode: u64) -> Option<Coverage> {
        let known = {
            let snapshot = sync::lock(self.snapshot);
            // A directory with another inode is a new one, for which the watch of its path does not count.
            let same = snapshot.dir(dir).filter(|known| known.signature().inode() == inode);
            same.map(|known| known.coverage())
        };
        if !self.rewatch && known == Some(Coverage::Events) {
            return known;
        }
        let mut placing = sync::lock(&self.placing);
        let placed = placing.watches.place(dir);
        placing.limit_hit |= placed.is_limit_hit();
        placing.watched += usize::from(placed.coverage() == Some(Coverage::Events));
        placing.polled += usize::from(placed.coverage() == Some(Coverage::Polling));
        placed.coverage()
    }
}
