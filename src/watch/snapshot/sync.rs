//! Brings the snapshot and the watches in line with the tree on disk: at the start, for a new directory, after
//! lost events, when rules have changed. What differs from the snapshot is noted, not decided.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::sync;

use crate::watch::filter::Filter;
use crate::watch::fs::git_lock::GitDirs;
use crate::watch::fs::signature::Kind;
use crate::watch::raw_event::Sign;
use crate::watch::snapshot::snapshot::{Attention, Dir, Entry, Tree};
use crate::watch::snapshot::walk::{self, Found, Lookout};
use crate::watch::snapshot::watches::Keeper;

/// A path whose state differs from the snapshot.
pub(crate) type Noted = (PathBuf, Sign);

/// How to take what is found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How {
    /// Unknown files enter the snapshot without a word if they have not changed since this time.
    pub(crate) silent_before: i64,
    /// Directories are watched again even if they seem to be watched: they were made anew, or moved here.
    pub(crate) rewatch: bool,
}

impl How {
    /// Everything is taken as it is.
    pub(crate) const FIRST: Self = Self { silent_before: i64::MAX, rewatch: false };
    /// Everything unknown is new.
    pub(crate) const AGAIN: Self = Self { silent_before: i64::MIN, rewatch: false };
    /// Everything unknown is new, and no watch is relied on.
    pub(crate) const ANEW: Self = Self { silent_before: i64::MIN, rewatch: true };
}

/// The snapshot, and what keeps it in line.
#[derive(Debug)]
pub(crate) struct Survey {
    tree: Arc<Mutex<Tree>>,
    pub(crate) filter: Arc<Filter>,
    pub(crate) keeper: Keeper,
    pub(crate) git: GitDirs,
    /// A limit was hit since this was last asked.
    pub(crate) limit_hit: bool,
    /// Paths that wait to be compared: they never enter the snapshot without a word.
    pub(crate) pending: HashSet<PathBuf>,
}

impl Survey {
    pub(crate) fn new(tree: Arc<Mutex<Tree>>, filter: Arc<Filter>, keeper: Keeper) -> Self {
        Self { tree, filter, keeper, git: GitDirs::default(), limit_hit: false, pending: HashSet::new() }
    }

    /// The snapshot.
    pub(crate) fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the rules be read again in a directory and below.
    pub(crate) fn forget(&self, dir: &Path) {
        self.filter.rules().forget(dir);
    }

    /// Compares a directory and everything below it.
    pub(crate) fn sync(&mut self, start: &Path, how: How) -> Vec<Noted> {
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
        known.iter().filter(|path| !seen.contains(*path)).for_each(|path| self.lose(path, &mut noted));
        noted
    }

    /// Compares one directory; those that are new in it with everything below them.
    pub(crate) fn sync_one(&mut self, path: &Path) -> Vec<Noted> {
        let mut noted = Vec::new();
        let known = self.tree().dir(path).map_or_else(Vec::new, |dir| dir.dirs().to_vec());
        let Some(found) = self.look(How::AGAIN, |filter, lookout| walk::look_into(path, filter, lookout))
        else {
            self.lose_below(path, &mut noted);
            return noted;
        };
        let there: Vec<_> = found.dirs.iter().flat_map(|dir| dir.dirs().to_vec()).collect();
        let replaced = self.take(found, How::AGAIN, &mut noted);
        let gone = known.iter().filter(|name| !there.contains(name));
        gone.for_each(|name| self.lose_below(&path.join(&**name), &mut noted));
        let below = there.iter().map(|name| path.join(&**name));
        let new: Vec<_> = {
            let tree = self.tree();
            let is_new = |path: &PathBuf| tree.dir(path).is_none_or(|dir| dir.attention == Attention::Absent);
            below.filter(is_new).chain(replaced).collect()
        };
        new.iter().for_each(|path| noted.extend(self.sync(path, How::ANEW)));
        noted
    }

    /// Looks at files that are roots: only these names of their directory matter.
    pub(crate) fn sync_names(&mut self, dir: &Path, names: &[PathBuf], how: How) -> Vec<Noted> {
        let mut noted = Vec::new();
        let names = names.iter().filter_map(|path| path.file_name());
        match self.look(how, |_, lookout| walk::look_for(dir, names, lookout)) {
            Some(dir) => {
                let mut tree = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
                merge(&mut tree, (&self.filter, &self.pending), dir, how, &mut noted);
            }
            None => self.lose(dir, &mut noted),
        }
        noted
    }

    /// Looks at the disk, and places watches on the way.
    fn look<T>(&mut self, how: How, look: impl FnOnce(&Filter, &Posts<'_>) -> T) -> T {
        let keeping = Keeping { keeper: &mut self.keeper, limit_hit: false, watched: 0, scanned: 0 };
        let posts = Posts { how, tree: &self.tree, keeping: Mutex::new(keeping) };
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
    fn take(&mut self, found: Found, how: How, noted: &mut Vec<Noted>) -> Vec<PathBuf> {
        found.repositories.iter().for_each(|dir| self.git.add(dir));
        let mut tree = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
        for dir in found.dirs {
            merge(&mut tree, (&self.filter, &self.pending), dir, how, noted);
        }
        found.replaced
    }

    /// A known directory and all below it are gone.
    pub(crate) fn lose_below(&mut self, path: &Path, noted: &mut Vec<Noted>) {
        let below = self.tree().below(path);
        below.iter().for_each(|path| self.lose(path, noted));
    }

    /// A known directory was not found. If it would still count, its files wait to be compared: it may be back
    /// by then. Its watch has gone with it. If it no longer counts, it is forgotten.
    fn lose(&mut self, path: &Path, noted: &mut Vec<Noted>) {
        let counts = self.filter.counts_dir(path);
        let mut tree = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(dir) = tree.dir_mut(path) else { return };
        if counts || dir.partial {
            dir.attention = Attention::Absent;
            noted.extend(dir.files().iter().map(|file| (path.join(&*file.name), Sign::Gone)));
            tree.prune(path);
        } else {
            let dropped = tree.remove_below(path);
            drop(tree);
            self.keeper.remove(dropped);
        }
    }

    /// Takes the watches from directories.
    pub(crate) fn unwatch(&mut self, dirs: Vec<PathBuf>) {
        self.keeper.remove(dirs);
    }

    /// Watches everything with a new instance, since events were lost.
    pub(crate) fn renew(&mut self) {
        let dirs = watched(&self.tree());
        let placed = self.keeper.renew(dirs);
        self.limit_hit |= placed.limit_hit;
        self.take_scanned(&placed.scanned);
    }

    /// Notes which directories are scanned from now on.
    fn take_scanned(&self, dirs: &HashSet<PathBuf>) {
        let mut tree = self.tree();
        for path in dirs {
            if let Some(dir) = tree.dir_mut(path) {
                dir.attention = Attention::Scanned;
            }
        }
    }

    /// Tries to watch what is only scanned for want of watches. Gives the directories that are watched now.
    pub(crate) fn recover(&mut self) -> Vec<PathBuf> {
        if !self.keeper.retry() {
            return Vec::new();
        }
        let waiting: Vec<_> = {
            let tree = self.tree();
            let scanned = tree.dirs().filter(|dir| dir.attention == Attention::Scanned);
            let paths = scanned.map(|dir| dir.path.to_path_buf());
            paths.filter(|path| self.keeper.is_for_events(path)).collect()
        };
        let placed = self.keeper.place(waiting.clone());
        let is_watched = |path: &PathBuf| !placed.scanned.contains(path) && !placed.gone.contains(path);
        let back: Vec<_> = waiting.into_iter().filter(is_watched).collect();
        let mut tree = self.tree();
        for path in &back {
            if let Some(dir) = tree.dir_mut(path) {
                dir.attention = Attention::Watched;
            }
        }
        drop(tree);
        back
    }
}

/// Places the watch of each directory that a walk comes to, if it has none.
struct Posts<'a> {
    how: How,
    tree: &'a Mutex<Tree>,
    keeping: Mutex<Keeping<'a>>,
}

/// Who places them, and how that goes.
struct Keeping<'a> {
    keeper: &'a mut Keeper,
    limit_hit: bool,
    watched: usize,
    scanned: usize,
}

impl Lookout for Posts<'_> {
    fn attend(&self, dir: &Path, inode: u64) -> Option<Attention> {
        let known = {
            let tree = sync::lock(self.tree);
            // A directory that is another one than the snapshot's has not the watch that its path had.
            tree.dir(dir).filter(|known| known.stamp.inode == inode).map(|known| known.attention)
        };
        if !self.how.rewatch && known == Some(Attention::Watched) {
            return known;
        }
        let mut keeping = sync::lock(&self.keeping);
        let (attention, limit_hit) = keeping.keeper.place_one(dir);
        keeping.limit_hit |= limit_hit;
        keeping.watched += usize::from(attention == Some(Attention::Watched));
        keeping.scanned += usize::from(attention == Some(Attention::Scanned));
        attention
    }
}

fn watched(tree: &Tree) -> Vec<PathBuf> {
    tree.dirs().filter(|dir| dir.attention == Attention::Watched).map(|dir| dir.path.to_path_buf()).collect()
}

/// Puts a directory as found into the snapshot; its files stay as last reported until they are compared.
fn merge(
    tree: &mut Tree,
    (filter, pending): (&Filter, &HashSet<PathBuf>),
    found: Dir,
    how: How,
    noted: &mut Vec<Noted>,
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
                if known.stamp != file.stamp || known.racy {
                    noted.push((path.join(&*file.name), Sign::Written));
                }
                files.push(known.clone());
            }
            None => {
                let path = path.join(&*file.name);
                if file.stamp.ctime < how.silent_before && !pending.contains(&path) {
                    files.push(file.clone());
                } else {
                    // An empty one was most likely found between its making and its filling.
                    let is_begun = file.stamp.kind == Kind::File && file.stamp.size == 0;
                    noted.push((path, if is_begun { Sign::Opened } else { Sign::Written }));
                }
            }
        }
    }
    let mut dirs = found.dirs().to_vec();
    if let Some(known) = known {
        for file in known.files().iter().filter(|file| found.file(&file.name).is_none()) {
            let path = path.join(&*file.name);
            if filter.counts_file(&path) {
                noted.push((path, Sign::Gone));
                files.push(file.clone());
            }
        }
        let gone = known.dirs().iter().filter(|name| found.dirs().binary_search(name).is_err());
        dirs.extend(gone.filter(|name| tree.dir(&path.join(&***name)).is_some()).cloned());
    }
    let mut merged = Dir::new(path, found.stamp, files, dirs);
    merged.attention = found.attention;
    merged.racy = found.racy;
    merged.unreadable = found.unreadable;
    merged.partial = found.partial;
    merged.set_rules(found.rules().to_vec());
    tree.put_dir(merged);
}

/// Rule files that have come, gone or changed since they were read, or may have.
fn note_rules(known: Option<&Dir>, found: &Dir, noted: &mut Vec<Noted>) {
    let known_rules = known.map_or(&[][..], Dir::rules);
    let is_news = |rule: &&Entry| match known_rules.iter().find(|known| known.name == rule.name) {
        Some(known) => known.stamp != rule.stamp || known.racy,
        None => rule.racy || known.is_some(),
    };
    let news = found.rules().iter().filter(is_news);
    let gone = known_rules.iter().filter(|known| !found.rules().iter().any(|rule| rule.name == known.name));
    noted.extend(news.chain(gone).map(|rule| (found.path.join(&*rule.name), Sign::Written)));
}
