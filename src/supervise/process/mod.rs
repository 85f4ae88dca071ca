//! Starts processes, and knows which processes belong to which tree. Holds no policy.
#![allow(unsafe_code)]

mod exceeded_limit;
mod exec;
mod inherited;
mod spawn;
pub(crate) mod start_error;
mod trees;

pub use exceeded_limit::ExceededLimit;
pub use inherited::remember_inherited_children;
pub use spawn::check_env_files;
pub(crate) use spawn::{ChildProcess, SpawnRequest, unset_variables, variable};
pub use trees::Subreaper;
pub(crate) use trees::{ProcessTrees, TAG_VARIABLE, TreeId};
