//! The operating system's file events, translated to raw events.

#[cfg(target_os = "linux")]
mod inotify;
pub(super) mod mounts;
#[cfg(not(target_os = "linux"))]
mod recursive;
pub(super) mod refusal;
pub(super) mod watcher;
#[cfg(target_os = "linux")]
mod wd_table;
