//! All platform code and all `unsafe` of the crate.
#![allow(unsafe_code)]

pub(super) mod unix;
pub(super) mod launch;
pub(super) mod terminal;
mod wait;
mod group;
#[cfg(target_os = "linux")]
mod procfs;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(target_os = "linux")]
pub(super) mod listening;

#[cfg(target_os = "linux")]
pub(super) use linux::{Trees, adopt_orphans, ended};
#[cfg(not(target_os = "linux"))]
pub(super) use other::{MARKER, Trees, adopt_orphans, ended};
#[cfg(target_os = "linux")]
pub(super) use procfs::MARKER;
pub(super) use wait::stopped;
