//! Brings the snapshot and the watches in line with the tree on disk: at the start, for a new directory, after
//! lost events, when rules have changed. What differs from the snapshot is noted, not decided.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::sync;

use crate::watch::filter::Filter;
use crate::watch::fs::git_lock::GitDirs;
use crate::watch::fs::signature::Kind;
use crate::watch::raw_event::RawEventKind;
use crate::watch::snapshot::snapshot::{Coverage, Dir, Entry, Snapshot};
use crate::watch::snapshot::walk::{self, PlaceWatch, WalkResult};
use crate::watch::snapshot::watches::WatchRegistry;

/// A path whose state differs from the snapshot.
pub(crate) type PathEvent = (PathBuf, RawEventKind);

/// SyncMode to take what is found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SyncMode {
    /// Unknown files enter the snapshot without a word if they have not changed since this time.
    pub(crate) silent_before: i64,
    /// Directories are watched again even if they seem to be watched: they were made anew, or moved here.
    pub(crate) rewatch: bool,
}

impl SyncMode {
    /// Everything is taken as it is.
    pub(crate) const INITIAL: Self = Self { silent_before: i64::MAX, rewatch: false };
    /// Everything unknown is new.
    pub(crate) const RESCAN: Self = Self { silent_before: i64::MIN, rewatch: false };
    /// Everything unknown is new, and no watch is relied on.
    pub(crate) const REWATCH: Self = Self { silent_before: i64::MIN, rewatch: true };
}

/// The snapshot, and what keeps it in line.
#[derive(Debug)]
pub(crate) struct SnapshotSync {
    tree: Arc<Mutex<Snapshot>>,
    pub(crate) filter: Arc<Filter>,
    pub(crate) watches: WatchRegistry,
    pub(crate) git: GitDirs,
    /// A limit was hit since this was last asked.
    pub(crate) limit_hit: bool,
    /// Paths that wait to be compared: they never enter the snapshot without a word.
    pub(crate) pending: HashSet<PathBuf>,
}

impl SnapshotSync {
    pub(crate) fn new(tree: Arc<Mutex<Snapshot>>, filter: Arc<Filter>, watches: WatchRegistry) -> Self {
        Self { tree, filter, watches, git: GitDirs::default(), limit_hit: false, pending: HashSet::new() }
    }

    /// The snapshot.
    pub(crate) fn tree(&self) -> MutexGuard<'_, Snapshot> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the rules be read again in a directory and below.
    pub(crate) fn forget(&self, dir: &Path) {
        self.filter.rules().forget(dir);
    }

    /// Compares a directory and everything below it.
    pub(crate) fn sync(&mut self, start: &Path, how: SyncMode) -> Vec<PathEvent> {
        let mut noted = Vec::new();
        let known: Vec<_> = {
            let tree = self.tree();
            let is_home = |path: &PathBuf| tree.dir(path).is_some_and(|dir| dir.partial);
            tree.below(start).into_iter().filter(|path| !is_home(path)).collect()
        };
        let mut seen = HashSet::new();
        let (mut starts, mut replaced) = (vec![start.to_owned()], HashSet::new());
        while let Some(start) = starts.pop() {
            let found = self.look(how, |filter, lookout| walk::walk(&start, filter, lookout));
            if !known.is_empty() {
                seen.extend(found.dirs.iter().map(|dir| dir.path.to_path_buf()));
            }
            let again = self.take(found, how, &mut noted);
            // Once each: whoever replaces it all the time tells by events.
            starts.extend(again.into_iter().filter(|path| replaced.insert(path.clone())));
        }
        known
            .iter()
            .filter(|path| !seen.contains(*path))
            .for_each(|path| self.mark_missing(path, &mut noted));
        noted
    }

    /// Compares one directory; those that are new in it with everything below them.
    pub(crate) fn sync_one(&mut self, path: &Path) -> Vec<PathEvent> {
        let mut noted = Vec::new();
        let known = self.tree().dir(path).map_or_else(Vec::new, |dir| dir.dirs().to_vec());
        let Some(found) =
            self.look(SyncMode::RESCAN, |filter, lookout| walk::look_into(path, filter, lookout))
        else {
            self.mark_missing_below(path, &mut noted);
            return noted;
        };
        let there: Vec<_> = found.dirs.iter().flat_map(|dir| dir.dirs().to_vec()).collect();
        let replaced = self.take(found, SyncMode::RESCAN, &mut noted);
        let gone = known.iter().filter(|name| !there.contains(name));
        gone.for_each(|name| self.mark_missing_below(&path.join(&**name), &mut noted));
        let below = there.iter().map(|name| path.join(&**name));
        let new: Vec<_> = {
            let tree = self.tree();
            let is_new = |path: &PathBuf| tree.dir(path).is_none_or(|dir| dir.coverage == Coverage::Missing);
            below.filter(is_new).chain(replaced).collect()
        };
        new.iter().for_each(|path| noted.extend(self.sync(path, SyncMode::REWATCH)));
        noted
    }

    /// Looks at files that are roots: only these names of their directory matter.
    pub(crate) fn sync_names(&mut self, dir: &Path, names: &[PathBuf], how: SyncMode) -> Vec<PathEvent> {
        let mut noted = Vec::new();
        let names = names.iter().filter_map(|path| path.file_name());
        match self.look(how, |_, lookout| walk::look_for(dir, names, lookout)) {
            Some(dir) => {
                let mut tree = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
                merge(&mut tree, (&self.filter, &self.pending), dir, how, &mut noted);
            }
            None => self.mark_missing(dir, &mut noted),
        }
        noted
    }

    /// Looks at the disk, and places watches on the way.
    fn look<T>(&mut self, how: SyncMode, look: impl FnOnce(&Filter, &WatchPlacer<'_>) -> T) -> T {
        let keeping = Keeping { watches: &mut self.watches, limit_hit: false, watched: 0, scanned: 0 };
        let posts = WatchPlacer { how, tree: &self.tree, keeping: Mutex::new(keeping) };
        let found = look(&self.filter, &posts);
        let Keeping { limit_hit, watched, scanned, .. } =
            posts.keeping.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.limit_hit |= limit_hit;
        if watched + scanned > 0 {
            tracing::debug!(directories = watched, scanned, "watches are placed");
        }
        found
    }

    /// Merges what was found into the snapshot. Gives the directories that are to be looked at again.
    fn take(&mut self, found: WalkResult, how: SyncMode, noted: &mut Vec<PathEvent>) -> Vec<PathBuf> {
        found.repositories.iter().for_each(|dir| self.git.add(dir));
        let mut tree = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
        for dir in found.dirs {
            merge(&mut tree, (&self.filter, &self.pending), dir, how, noted);
        }
        found.replaced
    }

    /// A known directory and all below it are gone.
    pub(crate) fn mark_missing_below(&mut self, path: &Path, noted: &mut Vec<PathEvent>) {
        let below = self.tree().below(path);
        below.iter().for_each(|path| self.mark_missing(path, noted));
    }

    /// A known directory was not found. If it would still count, its files wait to be compared: it may be back
    /// by then. Its watch has gone with it. If it no longer counts, it is forgotten.
    fn mark_missing(&mut self, path: &Path, noted: &mut Vec<PathEvent>) {
        let counts = self.filter.counts_dir(path);
        let mut tree = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(dir) = tree.dir_mut(path) else { return };
        if counts || dir.partial {
            dir.coverage = Coverage::Missing;
            noted.extend(dir.files().iter().map(|file| (path.join(&*file.name), RawEventKind::Gone)));
            tree.prune(path);
        } else {
            let dropped = tree.remove_below(path);
            drop(tree);
            self.watches.remove(dropped);
        }
    }

    /// Takes the watches from directories.
    pub(crate) fn unwatch(&mut self, dirs: Vec<PathBuf>) {
        self.watches.remove(dirs);
    }

    /// Watches everything with a new instance, since events were lost.
    pub(crate) fn renew(&mut self) {
        let dirs = watched(&self.tree());
        let placed = self.watches.renew(dirs);
        self.limit_hit |= placed.limit_hit;
        self.take_scanned(&placed.scanned);
    }

    /// Notes which directories are scanned from now on.
    fn take_scanned(&self, dirs: &HashSet<PathBuf>) {
        let mut tree = self.tree();
        for path in dirs {
            if let Some(dir) = tree.dir_mut(path) {
                dir.coverage = Coverage::Polling;
            }
        }
    }

    /// Tries to watch what is only scanned for want of watches. Gives the directories that are watched now.
    pub(crate) fn recover(&mut self) -> Vec<PathBuf> {
        if !self.watches.retry() {
            return Vec::new();
        }
        let waiting: Vec<_> = {
            let tree = self.tree();
            let scanned = tree.dirs().filter(|dir| dir.coverage == Coverage::Polling);
            let paths = scanned.map(|dir| dir.path.to_path_buf());
            paths.filter(|path| self.watches.is_for_events(path)).collect()
        };
        let placed = self.watches.place(waiting.clone());
        let is_watched = |path: &PathBuf| !placed.scanned.contains(path) && !placed.gone.contains(path);
        let back: Vec<_> = waiting.into_iter().filter(is_watched).collect();
        let mut tree = self.tree();
        for path in &back {
            if let Some(dir) = tree.dir_mut(path) {
                dir.coverage = Coverage::Events;
            }
        }
        drop(tree);
        back
    }
}

/// Places the watch of each directory that a walk comes to, if it has none.
struct WatchPlacer<'a> {
    how: SyncMode,
    tree: &'a Mutex<Snapshot>,
    keeping: Mutex<Keeping<'a>>,
}

/// Who places them, and how that goes.
struct Keeping<'a> {
    watches: &'a mut WatchRegistry,
    limit_hit: bool,
    watched: usize,
    scanned: usize,
}

impl PlaceWatch for WatchPlacer<'_> {
    fn place_watch(&self, dir: &Path, inode: u64) -> Option<Coverage> {
        let known = {
            let tree = sync::lock(self.tree);
            // A directory that is another one than the snapshot's has not the watch that its path had.
            tree.dir(dir).filter(|known| known.signature.inode == inode).map(|known| known.coverage)
        };
        if !self.how.rewatch && known == Some(Coverage::Events) {
            return known;
        }
        let mut keeping = sync::lock(&self.keeping);
        let (coverage, limit_hit) = keeping.watches.place_one(dir);
        keeping.limit_hit |= limit_hit;
        keeping.watched += usize::from(coverage == Some(Coverage::Events));
        keeping.scanned += usize::from(coverage == Some(Coverage::Polling));
        coverage
    }
}

fn watched(tree: &Snapshot) -> Vec<PathBuf> {
    tree.dirs().filter(|dir| dir.coverage == Coverage::Events).map(|dir| dir.path.to_path_buf()).collect()
}

/// Puts a directory as found into the snapshot; its files stay as last reported until they are compared.
fn merge(
    tree: &mut Snapshot,
    (filter, pending): (&Filter, &HashSet<PathBuf>),
    found: Dir,
    how: SyncMode,
    noted: &mut Vec<PathEvent>,
) {
    let path = found.path.to_path_buf();
    note_rules(tree.dir(&path), &found, noted);
    if tree.dir(&path).is_none() && how.silent_before == i64::MAX {
        tree.put_dir(found);
        return;
    }
    let mut files: Vec<Entry> = Vec::with_capacity(found.files().len());
    let known = tree.dir(&path);
    for file in found.files() {
        match known.and_then(|dir| dir.file(&file.name)) {
            Some(known) => {
                if known.signature != file.signature || known.racy {
                    noted.push((path.join(&*file.name), RawEventKind::Written));
                }
                files.push(known.clone());
            }
            None => {
                let path = path.join(&*file.name);
                if file.signature.ctime < how.silent_before && !pending.contains(&path) {
                    files.push(file.clone());
                } else {
                    // An empty one was most likely found between its making and its filling.
                    let is_begun = file.signature.kind == Kind::File && file.signature.size == 0;
                    noted.push((path, if is_begun { RawEventKind::Opened } else { RawEventKind::Written }));
                }
            }
        }
    }
    let mut dirs = found.dirs().to_vec();
    if let Some(known) = known {
        for file in known.files().iter().filter(|file| found.file(&file.name).is_none()) {
            let path = path.join(&*file.name);
            if filter.counts_file(&path) {
                noted.push((path, RawEventKind::Gone));
                files.push(file.clone());
            }
        }
        let gone = known.dirs().iter().filter(|name| found.dirs().binary_search(name).is_err());
        dirs.extend(gone.filter(|name| tree.dir(&path.join(&***name)).is_some()).cloned());
    }
    let mut merged = Dir::new(path, found.signature, files, dirs);
    merged.coverage = found.coverage;
    merged.racy = found.racy;
    merged.unreadable = found.unreadable;
    merged.partial = found.partial;
    merged.set_rules(found.rules().to_vec());
    tree.put_dir(merged);
}

/// Rule files that have come, gone or changed since they were read, or may have.
fn note_rules(known: Option<&Dir>, found: &Dir, noted: &mut Vec<PathEvent>) {
    let known_rules = known.map_or(&[][..], Dir::rules);
    let is_news = |rule: &&Entry| match known_rules.iter().find(|known| known.name == rule.name) {
        Some(known) => known.signature != rule.signature || known.racy,
        None => rule.racy || known.is_some(),
    };
    let news = found.rules().iter().filter(is_news);
    let gone = known_rules.iter().filter(|known| !found.rules().iter().any(|rule| rule.name == known.name));
    noted.extend(news.chain(gone).map(|rule| (found.path.join(&*rule.name), RawEventKind::Written)));
}
