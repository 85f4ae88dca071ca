//! What git knows and rules need: repositories, `info/exclude`, tracked files and two values of its
//! configuration.

mod repository;
mod git_env;
mod tracked;

pub use git_env::GitEnv;
pub(super) use repository::Repository;
pub use tracked::tracked_files;
