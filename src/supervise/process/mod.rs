//! Starts processes, and knows which processes belong to which tree. Holds no policy.
#![allow(unsafe_code)]

mod environment;
mod exec;
mod group;
mod spawn;
pub(crate) mod start_error;
mod subreaper;
mod tree_id;
#[cfg(target_os = "linux")]
mod tree_linux;
#[cfg(not(target_os = "linux"))]
mod tree_unix;

pub use environment::check_env_files;
pub(crate) use environment::variable;
pub(crate) use spawn::{ChildProcess, SpawnRequest};
pub use subreaper::Subreaper;
pub(crate) use subreaper::adopt_orphans;
pub(crate) use tree_id::{TAG_VARIABLE, TreeId};
#[cfg(target_os = "linux")]
pub(crate) use tree_linux::{ProcessTrees, wait_for_exit};
#[cfg(not(target_os = "linux"))]
pub(crate) use tree_unix::{ProcessTrees, wait_for_exit};
