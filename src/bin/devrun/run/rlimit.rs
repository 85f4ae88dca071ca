//! Raises the limit of open files, because each connection of a client takes two descriptors.

use rustix::process::{Resource, getrlimit, setrlimit};

/// The limit to raise to. A higher one would slow down programs that close all possible descriptors.
const OPEN_FILES: u64 = 32_768;

/// Raises the limit of this process. Returns the old limit, which COMMAND gets, if the limit changed.
pub(super) fn raise_open_files_limit() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current?;
    let wanted = limit.maximum.unwrap_or(OPEN_FILES).min(OPEN_FILES);
    limit.current = Some(wanted);
    (wanted > before && setrlimit(Resource::Nofile, limit).is_ok()).then_some(before)
}
