//! Where hints come from.

mod refusal;
mod entries;
#[cfg(target_os = "linux")]
mod table;
#[cfg(target_os = "linux")]
mod inotify;
#[cfg(not(target_os = "linux"))]
mod recursive;
mod event;
mod stat;
mod auto;

pub(crate) use auto::Mounts;
pub(crate) use entries::{Entries, UNNOTED, open_dir, open_with};
pub(crate) use event::{ANCHORS, Events};
pub(crate) use refusal::Refusal;
pub(crate) use stat::{Notice, glance, scan, used};
