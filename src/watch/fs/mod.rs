//! File system access and path handling without policy.

pub(super) mod paths;
mod read_dir;
mod signature;

pub(super) use read_dir::{DirListing, NO_ATIME, open_dir, open_dir_with};
pub(super) use signature::{FileKind, FileSignature, nanoseconds};
