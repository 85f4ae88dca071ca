//! Starts processes, and knows which processes belong to which tree. Holds no policy.
#![allow(unsafe_code)]

mod environment;
mod exec;
mod spawn;
pub(crate) mod start_error;
mod trees;

pub use environment::check_env_files;
pub(crate) use environment::variable;
pub(crate) use spawn::{ChildProcess, SpawnRequest};
pub use trees::Subreaper;
pub(crate) use trees::{ProcessTrees, TAG_VARIABLE, TreeId};
