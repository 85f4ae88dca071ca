//! The kernel's events, through notify: one watch per directory that counts.
//!
//! Linux: a watch per directory, and a kernel mask that leaves out reads. Elsewhere the system's own recursive
//! watch of each root.

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RenameMode};
use notify::{
    Config, ErrorKind, EventHandler, EventKindMask, PathOp, RecursiveMode, WatchPathConfig, Watcher,
};

use crate::watch::queue::{EventQueue, Message};
use crate::watch::raw_event::{RawEvent, RawEventKind};
use crate::watch::source::refusal::WatchError;

/// What notify works with: a watcher of our own, on Linux to the kernel, elsewhere around the one it recommends.
#[cfg(target_os = "linux")]
type Backend = crate::watch::source::inotify::Inotify;
#[cfg(not(target_os = "linux"))]
type Backend = crate::watch::source::recursive::Recursive;

/// So many of the directories above a root that is not there must be watched to see it come. Linux tells of a directory that
/// is renamed only in the one above it; FSEvents tells of it wherever it is watched, and wakes for all that is below.
pub(crate) const ANCHORS: usize = if cfg!(target_os = "linux") { usize::MAX } else { 1 };

/// The watches in the kernel.
#[derive(Debug)]
pub(crate) struct EventSource {
    watcher: Backend,
    /// Disconnected once the watcher's thread has let go of the handler.
    ended: mpsc::Receiver<()>,
}

/// The end of the watcher's thread is waited for so long.
const FAREWELL: Duration = Duration::from_secs(2);

impl EventSource {
    /// Opens an instance without watches; its hints go to `queue`.
    ///
    /// # Errors
    /// [`WatchError::Limit`] if there are too many instances, else [`WatchError::Denied`].
    pub(crate) fn open(queue: &Arc<EventQueue>) -> Result<Self, WatchError> {
        let (alive, ended) = mpsc::channel();
        let handler = Handler { queue: Arc::clone(queue), _alive: alive };
        let mask = EventKindMask::CREATE
            | EventKindMask::REMOVE
            | EventKindMask::MODIFY_NAME
            | EventKindMask::ACCESS_CLOSE;
        // Elsewhere the change of data is reported, by FSEvents when the file is closed (`vn_close` in xnu's vfs_vnops.c).
        let mask = if cfg!(target_os = "linux") { mask } else { mask | EventKindMask::MODIFY_DATA };
        let config = Config::default().with_event_kinds(mask).with_follow_symlinks(false);
        let watcher = Backend::new(handler, config).map_err(|error| refusal(&error))?;
        Ok(Self { watcher, ended })
    }

    /// Watches a directory of a tree; one that is a symbolic link only if it is a root. Gives why it got no watch, if it got
    /// none. Watching what is watched already does nothing.
    pub(crate) fn watch_one(&mut self, dir: &Path, is_root: bool) -> Option<WatchError> {
        // Only where a watch can be for a whole tree this makes a difference.
        let mode = if is_root { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
        let config = WatchPathConfig::new(mode).with_dereference_symlinks(is_root);
        self.watcher.watch_with(dir, config).err().map(|error| refusal(&error))
    }

    /// Watches directories beside the trees for what is in them, not below. Gives those that got no watch.
    pub(crate) fn watch_beside(&mut self, dirs: Vec<PathBuf>) -> Vec<(PathBuf, WatchError)> {
        let config = || WatchPathConfig::new(RecursiveMode::NonRecursive).with_dereference_symlinks(true);
        self.apply(dirs.into_iter().map(|dir| PathOp::Watch(dir, config())).collect())
    }

    /// Removes watches.
    pub(crate) fn unwatch(&mut self, dirs: Vec<PathBuf>) {
        self.apply(dirs.into_iter().map(PathOp::Unwatch).collect());
    }

    /// Whether something that has happened is still on its way into the queue.
    pub(crate) fn is_behind(&self) -> bool {
        self.watcher.is_behind()
    }

    /// Ends it; returns once its thread has ended.
    pub(crate) fn close(self) {
        drop(self.watcher);
        let _ = self.ended.recv_timeout(FAREWELL);
    }

    /// A batch stops at its first failure: go on with what remains of it.
    fn apply(&mut self, mut ops: Vec<PathOp>) -> Vec<(PathBuf, WatchError)> {
        let mut refused = Vec::new();
        while !ops.is_empty() {
            let Err(failure) = self.watcher.update_paths(ops) else { break };
            let refusal = refusal(&failure.source);
            // What was not watched need not be unwatched.
            let origin = failure.origin.filter(|op| matches!(op, PathOp::Watch(..)));
            refused.extend(origin.map(|op| (op.into_path(), refusal)));
            if refusal == WatchError::Limit {
                // The rest would fail in the same way.
                refused.extend(failure.remaining.into_iter().map(|op| (op.into_path(), refusal)));
                break;
            }
            ops = failure.remaining;
        }
        refused
    }
}

fn refusal(error: &notify::Error) -> WatchError {
    match &error.kind {
        ErrorKind::PathNotFound => WatchError::Gone,
        ErrorKind::MaxFilesWatch => WatchError::Limit,
        ErrorKind::Io(error) => {
            rustix::io::Errno::from_io_error(error).map_or(WatchError::Denied, WatchError::of)
        }
        _ => WatchError::Denied,
    }
}

/// Runs on notify's thread: translates, passes on, never waits.
struct Handler {
    queue: Arc<EventQueue>,
    _alive: mpsc::Sender<()>,
}

impl EventHandler for Handler {
    fn handle_event(&mut self, event: notify::Result<notify::Event>) {
        let Ok(event) = event else {
            // Whatever was not delivered is found by comparing.
            self.queue.push(Message::RawEvent(RawEvent::Everything));
            return;
        };
        if event.need_rescan() {
            self.queue.push(Message::RawEvent(RawEvent::Everything));
            return;
        }
        let Some(sign) = sign(&event.kind) else { return };
        for path in event.paths {
            self.queue.push(Message::RawEvent(RawEvent::Path { path, sign }));
        }
    }
}

/// A rename is taken as its two halves; the event that joins them repeats both.
fn sign(kind: &EventKind) -> Option<RawEventKind> {
    match kind {
        EventKind::Create(CreateKind::File) if cfg!(target_os = "linux") => Some(RawEventKind::Opened),
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(RawEventKind::Closed),
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => None,
        EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
            Some(RawEventKind::Gone)
        }
        _ => Some(RawEventKind::Written),
    }
}
