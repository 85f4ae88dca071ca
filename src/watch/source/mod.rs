//! Where hints come from.

mod refusal;
#[cfg(target_os = "linux")]
mod table;
#[cfg(target_os = "linux")]
mod inotify;
// Built for the tests here too, so that it goes on to build where it is used.
#[cfg(any(not(target_os = "linux"), test))]
#[cfg_attr(target_os = "linux", allow(dead_code))]
mod elsewhere;
mod stat;
mod auto;

pub(crate) use auto::Mounts;
#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::Events;
#[cfg(target_os = "linux")]
pub(crate) use inotify::Events;
pub(crate) use refusal::Refusal;
pub(crate) use stat::{Notice, glance, scan};
