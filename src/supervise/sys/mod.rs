//! Thin wrappers around system calls. Together with `process`, all unsafe code of the crate.
#![allow(unsafe_code)]

pub(crate) mod fd;
pub(crate) mod pid;
pub(crate) mod procfs;
pub(crate) mod signals;
mod tree_usage;
pub(crate) mod wait;

pub use tree_usage::{TreeUsage, tree_usage};
