//! File system access and path handling without policy.

pub(super) mod git_lock;
pub(super) mod paths;
pub(super) mod read_dir;
pub(super) mod signature;
