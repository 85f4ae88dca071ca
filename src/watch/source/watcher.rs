//! Kernel watches through notify's `Watcher` trait; their events go into the queue.
//!
//! On Linux each directory has its own watch, and the kernel's mask leaves out reads. On other systems
//! each root has the system's recursive watch.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RenameMode};
use notify::{Config, ErrorKind, EventHandler, EventKindMask, RecursiveMode, WatchPathConfig, Watcher};
use rustix::io::Errno;

use crate::watch::queue::{Message, Queue, RawEvent, RawEventKind};

#[cfg(target_os = "linux")]
type Backend = super::inotify::Inotify;
#[cfg(not(target_os = "linux"))]
type Backend = super::recursive::Recursive;

/// Maximum number of directories above a missing root that are watched to see it appear.
///
/// Linux reports the rename of a directory to its parent only. FSEvents reports it to every watch above, and
/// wakes for everything below, so one is enough there.
pub(crate) const MAX_ANCHORS_PER_ROOT: usize = if cfg!(target_os = "linux") { usize::MAX } else { 1 };

/// Maximum wait for the end of the watcher's thread.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a directory has no watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WatchError {
    /// The directory does not exist.
    NotFound,
    /// The limit of watches or instances is used up.
    LimitReached,
    /// devrun may not read the directory, or the system cannot watch it.
    Refused,
}

impl From<&notify::Error> for WatchError {
    fn from(error: &notify::Error) -> Self {
        match &error.kind {
            ErrorKind::PathNotFound => Self::NotFound,
            ErrorKind::MaxFilesWatch => Self::LimitReached,
            ErrorKind::Io(error) => match Errno::from_io_error(error) {
                Some(Errno::MFILE | Errno::NFILE | Errno::NOSPC | Errno::NOMEM) => Self::LimitReached,
                Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Self::NotFound,
                _ => Self::Refused,
            },
            _ => Self::Refused,
        }
    }
}

/// One instance of kernel watches.
#[derive(Debug)]
pub(crate) struct EventSource {
    watcher: Backend,
    /// Disconnects when the watcher's thread drops the handler.
    ended: mpsc::Receiver<()>,
}

impl EventSource {
    /// Opens an instance without watches. Its events go into `queue`.
    pub(crate) fn open(queue: &Arc<Queue>) -> Result<Self, WatchError> {
        let (alive, ended) = mpsc::channel();
        let handler = Handler { queue: Arc::clone(queue), _alive: alive };
        // On Linux the backend knows the events. FSEvents reports a change of data when the file is closed
        // (`vn_close` in xnu's vfs_vnops.c).
        let mask = EventKindMask::CREATE
            | EventKindMask::REMOVE
            | EventKindMask::MODIFY_NAME
            | EventKindMask::MODIFY_DATA
            | EventKindMask::ACCESS_CLOSE;
        let config = Config::default().with_event_kinds(mask).with_follow_symlinks(false);
        let watcher = Backend::new(handler, config).map_err(|error| WatchError::from(&error))?;
        Ok(Self { watcher, ended })
    }

    /// Watches a directory of a tree. Does nothing if the directory is watched already.
    pub(crate) fn watch_dir(&mut self, dir: &Path, is_root: bool) -> Result<(), WatchError> {
        // The mode matters only where one watch covers a whole tree.
        let mode = if is_root { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
        let config = WatchPathConfig::new(mode).with_dereference_symlinks(is_root);
        self.watcher.watch_with(dir, config).map_err(|error| WatchError::from(&error))
    }

    /// Watches directories outside the trees, not recursively. Returns the directories that have a watch now.
    pub(crate) fn watch_anchors(&mut self, mut dirs: BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
        let config = WatchPathConfig::new(RecursiveMode::NonRecursive).with_dereference_symlinks(true);
        let mut is_limited = false;
        dirs.retain(|dir| {
            // After the limit, the rest would fail in the same way.
            if is_limited {
                return false;
            }
            let result =
                self.watcher.watch_with(dir, config.clone()).map_err(|error| WatchError::from(&error));
            is_limited = result == Err(WatchError::LimitReached);
            result.is_ok()
        });
        // A root may lie below a directory that is closed.
        dirs.iter().for_each(|dir| self.watch_attributes(dir));
        dirs
    }

    /// Reports when a directory in this directory gets other permissions.
    pub(crate) fn watch_attributes(&mut self, dir: &Path) {
        self.watcher.watch_attributes(dir);
    }

    pub(crate) fn unwatch<'p>(&mut self, dirs: impl Iterator<Item = &'p PathBuf>) {
        for dir in dirs {
            // An error means that there was none.
            let _ = self.watcher.unwatch(dir);
        }
    }

    /// Whether an event that has happened may not be in the queue yet.
    pub(crate) fn is_behind(&self) -> bool {
        self.watcher.is_behind()
    }

    /// Closes the instance. Returns once its thread has ended.
    pub(crate) fn close(self) {
        drop(self.watcher);
        let _ = self.ended.recv_timeout(CLOSE_TIMEOUT);
    }
}

/// Puts events into the queue. Runs on the watcher's thread and never blocks.
struct Handler {
    queue: Arc<Queue>,
    _alive: mpsc::Sender<()>,
}

impl EventHandler for Handler {
    fn handle_event(&mut self, event: notify::Result<notify::Event>) {
        // After an error, too, events may be missing.
        let Some(event) = event.ok().filter(|event| !event.need_rescan()) else {
            self.queue.push(Message::EventsLost);
            return;
        };
        let Some(kind) = raw_kind(&event.kind) else { return };
        for path in event.paths {
            self.queue.push(Message::Event(RawEvent::new(path, kind)));
        }
    }
}

/// The raw kind of a notify event; `None` if the event says nothing new.
///
/// A rename counts as its two halves, because the event that joins them repeats both. Only Linux reports a
/// close after the creation of a file.
pub(super) fn raw_kind(kind: &EventKind) -> Option<RawEventKind> {
    match kind {
        EventKind::Create(CreateKind::File) if cfg!(target_os = "linux") => Some(RawEventKind::Created),
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(RawEventKind::Closed),
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => None,
        EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
            Some(RawEventKind::Removed)
        }
        _ => Some(RawEventKind::Written),
    }
}
