//! The registry of kernel watches: places them, and decides which directories are scanned instead.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::snapshot::Coverage;
use crate::watch::source::{EventSource, Mounts, WatchError};
use crate::watch::{options::Mode, queue::Queue};

#[derive(Debug)]
pub(crate) struct WatchRegistry {
    mode: Mode,
    queue: Arc<Queue>,
    source: Option<EventSource>,
    /// They decide on the mode of each directory.
    pub(crate) mounts: Arc<Mounts>,
    /// The roots, which may be symbolic links.
    roots: HashSet<PathBuf>,
    /// Watched directories outside the trees. They show when a missing root appears, for example.
    anchors: BTreeSet<PathBuf>,
    /// A limit is used up, so no watch is tried until [`WatchRegistry::retry`].
    is_limited: bool,
    /// A limit was hit, and the worker has not reported it yet.
    pub(crate) limit_hit: bool,
}

impl WatchRegistry {
    /// A registry without watches. Their events will go into `queue`.
    pub(crate) fn new(mode: Mode, queue: Arc<Queue>, roots: HashSet<PathBuf>) -> Self {
        let mounts = Arc::new(if mode == Mode::Auto { Mounts::current() } else { Mounts::default() });
        let source = if mode == Mode::Stat { None } else { EventSource::open(&queue).ok() };
        // Without an instance no watch is even tried.
        let is_limited = mode != Mode::Stat && source.is_none();
        let anchors = BTreeSet::new();
        Self { mode, queue, source, mounts, roots, anchors, is_limited, limit_hit: is_limited }
    }

    /// Whether the limit of watches is used up.
    pub(crate) fn is_limited(&self) -> bool {
        self.is_limited
    }

    /// Whether kernel events arrive at all.
    pub(crate) fn has_events(&self) -> bool {
        self.source.is_some()
    }

    /// Whether a kernel event may not be in the queue yet.
    pub(crate) fn is_behind(&self) -> bool {
        self.source.as_ref().is_some_and(EventSource::is_behind)
    }

    pub(crate) fn anchor_count(&self) -> usize {
        self.anchors.len()
    }

    /// Whether a directory has a watch unless a limit is used up.
    pub(super) fn is_for_events(&self, dir: &Path) -> bool {
        self.mode != Mode::Stat && self.mounts.without_events(dir).is_none()
    }

    /// Watches one directory if possible. Returns how changes in it are found; `None` if it does not exist.
    pub(super) fn place(&mut self, dir: &Path) -> Option<Coverage> {
        if self.is_limited || !self.is_for_events(dir) {
            return Some(Coverage::Polling);
        }
        let Some(source) = &mut self.source else { return Some(Coverage::Polling) };
        let result = source.watch_dir(dir, self.roots.contains(dir));
        tracing::trace!(?dir, ?result, "watch placed");
        let Err(error) = result else { return Some(Coverage::Events) };
        tracing::debug!(?dir, ?error, "directory has no watch");
        if error == WatchError::LimitReached {
            (self.is_limited, self.limit_hit) = (true, true);
        }
        (error != WatchError::NotFound).then_some(Coverage::Polling)
    }

    /// Watches directories, and returns those that exist. If the limit is hit, the deep ones are scanned.
    pub(super) fn place_all(&mut self, mut dirs: Vec<PathBuf>) -> Vec<(PathBuf, Coverage)> {
        dirs.sort_unstable_by_key(|dir| dir.components().count());
        dirs.into_iter().filter_map(|dir| self.place(&dir).map(|coverage| (dir, coverage))).collect()
    }

    pub(crate) fn remove(&mut self, dirs: Vec<PathBuf>) {
        if let Some(source) = &mut self.source {
            source.unwatch(dirs.iter().filter(|dir| !self.anchors.contains(*dir)));
        }
    }

    /// Reports when a directory in one of these gets other permissions.
    pub(super) fn watch_attributes(&mut self, dirs: &[PathBuf]) {
        if let Some(source) = &mut self.source {
            dirs.iter().for_each(|dir| source.watch_attributes(dir));
        }
    }

    /// Watches these directories with a new instance. Closes the old one afterwards, so that no event is missed.
    pub(super) fn renew(&mut self, dirs: Vec<PathBuf>) -> Vec<(PathBuf, Coverage)> {
        if self.source.is_none() {
            return Vec::new();
        }
        let Ok(mut new) = EventSource::open(&self.queue) else { return Vec::new() };
        new.watch_anchors(self.anchors.clone());
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
        source.unwatch(self.anchors.difference(&wanted).filter(|dir| !is_in_tree(dir)));
        // Parents come first, so that a child which appears meanwhile is reported.
        self.anchors = source.watch_anchors(wanted);
    }

    /// Allows watches again after a limit. Returns whether that makes sense.
    pub(super) fn retry(&mut self) -> bool {
        if self.is_limited && self.source.is_none() {
            self.source = EventSource::open(&self.queue).ok();
        }
        self.is_limited = self.mode != Mode::Stat && self.source.is_none();
        !self.is_limited
    }

    /// Closes the event source. Returns once its thread has ended.
    pub(crate) fn close(self) {
        if let Some(source) = self.source {
            source.close();
        }
    }
}
