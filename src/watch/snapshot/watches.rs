//! The registry of kernel watches: places them, and decides which directories are scanned instead.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::watch::options::Mode;
use crate::watch::queue::Queue;
use crate::watch::source::{EventSource, Mounts, WatchError};

use super::snapshot::Coverage;

/// The watches in the kernel.
#[derive(Debug)]
pub(crate) struct WatchRegistry {
    mode: Mode,
    queue: Arc<Queue>,
    source: Option<EventSource>,
    mounts: Arc<Mounts>,
    /// The roots, which may be symbolic links.
    roots: HashSet<PathBuf>,
    /// Watched directories outside the trees. They show when a missing root appears, for example.
    anchors: BTreeSet<PathBuf>,
    /// A limit is used up, so no watch is tried until [`WatchRegistry::retry`].
    is_limited: bool,
}

/// The result of placing one watch.
#[derive(Debug, Clone, Copy)]
pub(super) enum PlacedWatch {
    Watched,
    /// The directory is scanned instead, by choice or because it was refused.
    Polled,
    /// The directory is scanned instead, because this call hit a limit.
    LimitHit,
    /// The directory does not exist.
    NotFound,
}

impl PlacedWatch {
    /// How changes in the directory are found; `None` if it does not exist.
    pub(super) fn coverage(self) -> Option<Coverage> {
        match self {
            Self::Watched => Some(Coverage::Events),
            Self::Polled | Self::LimitHit => Some(Coverage::Polling),
            Self::NotFound => None,
        }
    }

    pub(super) fn is_limit_hit(self) -> bool {
        matches!(self, Self::LimitHit)
    }
}

/// The result of placing several watches.
#[derive(Debug, Default)]
pub(super) struct PlacedWatches {
    polled: HashSet<PathBuf>,
    not_found: HashSet<PathBuf>,
    limit_hit: bool,
}

impl PlacedWatches {
    /// The directories that are scanned instead.
    pub(super) fn polled(&self) -> &HashSet<PathBuf> {
        &self.polled
    }

    /// Whether one of the directories, given by its path, has a watch now.
    pub(super) fn has_watch(&self, dir: &Path) -> bool {
        !self.polled.contains(dir) && !self.not_found.contains(dir)
    }

    pub(super) fn is_limit_hit(&self) -> bool {
        self.limit_hit
    }
}

impl WatchRegistry {
    /// A registry without watches. Their events will go into `queue`.
    pub(crate) fn new(mode: Mode, queue: Arc<Queue>, roots: HashSet<PathBuf>) -> Self {
        let mounts = Arc::new(if mode == Mode::Auto { Mounts::current() } else { Mounts::default() });
        let (source, anchors) = (None, BTreeSet::new());
        let mut registry = Self { mode, queue, source, mounts, roots, anchors, is_limited: false };
        if mode != Mode::Stat {
            registry.open_source();
        }
        registry
    }

    /// Whether a limit is used up.
    pub(super) fn is_limited(&self) -> bool {
        self.is_limited
    }

    /// Whether kernel events arrive at all.
    pub(super) fn has_events(&self) -> bool {
        self.source.is_some()
    }

    /// Whether an event may not be in the queue yet.
    pub(super) fn is_behind(&self) -> bool {
        self.source.as_ref().is_some_and(EventSource::is_behind)
    }

    /// The mounts by which the mode of each directory is chosen.
    pub(super) fn mounts(&self) -> Arc<Mounts> {
        Arc::clone(&self.mounts)
    }

    /// Number of watches outside the trees.
    pub(super) fn anchor_count(&self) -> usize {
        self.anchors.len()
    }

    /// Whether a directory has a watch unless a limit is used up.
    pub(super) fn is_for_events(&self, dir: &Path) -> bool {
        self.mode != Mode::Stat && self.mounts.without_events(dir).is_none()
    }

    fn open_source(&mut self) {
        match EventSource::open(&self.queue) {
            Ok(source) => self.source = Some(source),
            Err(_) => self.is_limited = true,
        }
    }

    /// Watches one directory, if its mode is by events.
    pub(super) fn place(&mut self, dir: &Path) -> PlacedWatch {
        if self.is_limited || !self.is_for_events(dir) {
            return PlacedWatch::Polled;
        }
        let Some(source) = &mut self.source else { return PlacedWatch::Polled };
        let result = source.watch_dir(dir, self.roots.contains(dir));
        tracing::trace!(?dir, ?result, "watch placed");
        let Err(error) = result else { return PlacedWatch::Watched };
        tracing::debug!(?dir, ?error, "directory has no watch");
        match error {
            WatchError::LimitReached => {
                self.is_limited = true;
                PlacedWatch::LimitHit
            }
            WatchError::Refused => PlacedWatch::Polled,
            WatchError::NotFound => PlacedWatch::NotFound,
        }
    }

    /// Watches directories, shallow ones first, so that the deep ones are scanned if the limit is hit.
    pub(super) fn place_all(&mut self, mut dirs: Vec<PathBuf>) -> PlacedWatches {
        dirs.sort_unstable_by_key(|dir| dir.components().count());
        let mut all = PlacedWatches::default();
        for dir in dirs {
            let placed = self.place(&dir);
            all.limit_hit |= placed.is_limit_hit();
            match placed.coverage() {
                Some(Coverage::Polling) => _ = all.polled.insert(dir),
                Some(_) => {}
                None => _ = all.not_found.insert(dir),
            }
        }
        all
    }

    /// Removes the watches of directories.
    pub(super) fn remove(&mut self, dirs: Vec<PathBuf>) {
        if let Some(source) = &mut self.source {
            source.unwatch(dirs.into_iter().filter(|dir| !self.anchors.contains(dir)).collect());
        }
    }

    /// Watches these directories with a new instance. The old one is closed afterwards, so that no event is
    /// missed.
    pub(super) fn renew(&mut self, dirs: Vec<PathBuf>) -> PlacedWatches {
        if self.source.is_none() {
            return PlacedWatches::default();
        }
        let Ok(mut new) = EventSource::open(&self.queue) else { return PlacedWatches::default() };
        new.watch_anchors(self.anchors.iter().cloned().collect());
        let old = self.source.replace(new);
        self.is_limited = false;
        let placed = self.place_all(dirs);
        drop(old);
        placed
    }

    /// Watches exactly these directories outside the trees. `is_in_tree`: the directory has a watch in a
    /// tree.
    ///
    /// A directory with a watch is watched again, because the watch may be on a directory that was replaced.
    pub(super) fn set_anchors(&mut self, wanted: BTreeSet<PathBuf>, is_in_tree: impl Fn(&Path) -> bool) {
        let Some(source) = &mut self.source else { return };
        let old = self.anchors.difference(&wanted).filter(|dir| !is_in_tree(dir)).cloned().collect();
        source.unwatch(old);
        // Parents come first, so that a child which appears meanwhile is reported.
        let failed: HashSet<_> = source.watch_anchors(wanted.iter().cloned().collect()).into_iter().collect();
        self.anchors = wanted.into_iter().filter(|dir| !failed.contains(dir)).collect();
    }

    /// Allows watches again after a limit. Returns whether that makes sense.
    pub(super) fn retry(&mut self) -> bool {
        if self.is_limited {
            self.is_limited = false;
            if self.source.is_none() && self.mode != Mode::Stat {
                self.open_source();
            }
        }
        !self.is_limited
    }

    /// Closes the event source. Returns once its thread has ended.
    pub(super) fn close(self) {
        if let Some(source) = self.source {
            source.close();
        }
    }
}
