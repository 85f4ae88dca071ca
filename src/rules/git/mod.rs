//! git's own files: repository, `info/exclude`, worktrees, configuration.

mod config;

pub use config::tracked_files;
pub(super) use config::{common_dir, top_of};
