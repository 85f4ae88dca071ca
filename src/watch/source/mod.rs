//! The operating system's file events, as raw events in the queue; and the mounts without events.

#[cfg(target_os = "linux")]
mod inotify;
mod mounts;
#[cfg(not(target_os = "linux"))]
mod recursive;
mod watcher;

pub(super) use mounts::Mounts;
pub use mounts::file_system_type;
pub(super) use watcher::{EventSource, MAX_ANCHORS_PER_ROOT, WatchError};
