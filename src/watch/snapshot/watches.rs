//! Keeps the watches: places them, counts out which directories get none, and says why.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::watch::options::Mode;
use crate::watch::queue::EventQueue;
use crate::watch::snapshot::snapshot::Coverage;
use crate::watch::source::mounts::Mounts;
use crate::watch::source::refusal::WatchError;
use crate::watch::source::watcher::EventSource;

/// The watches, and what could not be watched.
#[derive(Debug)]
pub(crate) struct WatchRegistry {
    mode: Mode,
    queue: Arc<EventQueue>,
    events: Option<EventSource>,
    mounts: Arc<Mounts>,
    /// Directories that may be symbolic links.
    roots: HashSet<PathBuf>,
    /// Watched for what comes and goes in them, beside the tree.
    anchors: BTreeSet<PathBuf>,
    /// A limit is used up: nothing more is tried until [`WatchRegistry::retry`].
    limited: bool,
}

/// Which of some directories got no watch.
#[derive(Debug, Default)]
pub(crate) struct Placed {
    /// They are to be scanned.
    pub(crate) scanned: HashSet<PathBuf>,
    /// They do not exist any more.
    pub(crate) gone: HashSet<PathBuf>,
    /// The limit was hit just now.
    pub(crate) limit_hit: bool,
}

impl WatchRegistry {
    /// `roots` may be symbolic links.
    pub(crate) fn new(mode: Mode, queue: Arc<EventQueue>, roots: HashSet<PathBuf>) -> Self {
        let mounts = Arc::new(if mode == Mode::Auto { Mounts::current() } else { Mounts::default() });
        let (events, anchors) = (None, BTreeSet::new());
        let mut watches = Self { mode, queue, events, mounts, roots, anchors, limited: false };
        if mode != Mode::Stat {
            watches.open();
        }
        watches
    }

    /// Whether a limit is used up.
    pub(crate) fn is_limited(&self) -> bool {
        self.limited
    }

    /// Whether any events come.
    pub(crate) fn has_events(&self) -> bool {
        self.events.is_some()
    }

    /// Whether something that has happened is still on its way to us.
    pub(crate) fn is_behind(&self) -> bool {
        self.events.as_ref().is_some_and(EventSource::is_behind)
    }

    /// The mounts it goes by.
    pub(crate) fn mounts(&self) -> Arc<Mounts> {
        Arc::clone(&self.mounts)
    }

    /// Whether a directory would have a watch if there were enough.
    pub(crate) fn is_for_events(&self, dir: &Path) -> bool {
        self.mode != Mode::Stat && self.mounts.without_events(dir).is_none()
    }

    fn open(&mut self) {
        match EventSource::open(&self.queue) {
            Ok(events) => self.events = Some(events),
            Err(_) => self.limited = true,
        }
    }

    /// Watches one directory. Gives how its changes are found, `None` if it does not exist any more, and whether the limit
    /// was hit just now.
    pub(crate) fn place_one(&mut self, dir: &Path) -> (Option<Coverage>, bool) {
        if self.limited || !self.is_for_events(dir) {
            return (Some(Coverage::Polling), false);
        }
        let Some(events) = &mut self.events else { return (Some(Coverage::Polling), false) };
        let refusal = events.watch_one(dir, self.roots.contains(dir));
        tracing::trace!(?dir, ?refusal, "a watch is placed");
        if let Some(refusal) = refusal {
            tracing::debug!(?dir, ?refusal, "it gets no watch");
        }
        self.limited |= refusal == Some(WatchError::Limit);
        let coverage = match refusal {
            None => Some(Coverage::Events),
            Some(WatchError::Limit | WatchError::Denied) => Some(Coverage::Polling),
            Some(WatchError::Gone) => None,
        };
        (coverage, refusal == Some(WatchError::Limit))
    }

    /// Watches directories, shallow ones first: what is deep is scanned if not all can be watched.
    pub(crate) fn place(&mut self, mut dirs: Vec<PathBuf>) -> Placed {
        dirs.sort_unstable_by_key(|dir| dir.components().count());
        let mut placed = Placed::default();
        for dir in dirs {
            let (coverage, limit_hit) = self.place_one(&dir);
            placed.limit_hit |= limit_hit;
            match coverage {
                Some(Coverage::Polling) => _ = placed.scanned.insert(dir),
                Some(_) => {}
                None => _ = placed.gone.insert(dir),
            }
        }
        placed
    }

    /// Removes the watches of directories that no longer count or must be watched anew.
    pub(crate) fn remove(&mut self, dirs: Vec<PathBuf>) {
        if let Some(events) = &mut self.events {
            events.unwatch(dirs.into_iter().filter(|dir| !self.anchors.contains(dir)).collect());
        }
    }

    /// Opens a new instance with these watches before it closes the old one, so that nothing is missed between.
    pub(crate) fn renew(&mut self, dirs: Vec<PathBuf>) -> Placed {
        let old = self.events.take();
        if old.is_none() {
            return Placed::default();
        }
        let Ok(mut new) = EventSource::open(&self.queue) else {
            self.events = old;
            return Placed::default();
        };
        let anchors: Vec<_> = self.anchors.iter().cloned().collect();
        new.watch_beside(anchors);
        self.events = Some(new);
        self.limited = false;
        let placed = self.place(dirs);
        drop(old);
        placed
    }

    /// Watches exactly these directories beside the tree; `in_tree` says which have a watch anyway. Those that are
    /// watched are so anew: the watch may be on another directory that was there before.
    pub(crate) fn anchor(&mut self, wanted: BTreeSet<PathBuf>, in_tree: impl Fn(&Path) -> bool) {
        let Some(events) = &mut self.events else { return };
        let old: Vec<_> = self.anchors.difference(&wanted).filter(|dir| !in_tree(dir)).cloned().collect();
        events.unwatch(old);
        // What is above comes first: it tells of what appears in it from then on.
        let all = wanted.iter().cloned().collect();
        let refused: HashSet<_> = events.watch_beside(all).into_iter().map(|(dir, _)| dir).collect();
        self.anchors = wanted.into_iter().filter(|dir| !refused.contains(dir)).collect();
    }

    /// Tries again after a limit; whether there is hope.
    pub(crate) fn retry(&mut self) -> bool {
        if self.limited {
            self.limited = false;
            if self.events.is_none() && self.mode != Mode::Stat {
                self.open();
            }
        }
        !self.limited
    }

    /// Ends it; returns once its thread has ended.
    pub(crate) fn close(self) {
        if let Some(events) = self.events {
            events.close();
        }
    }
}
