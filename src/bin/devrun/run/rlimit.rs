//! Room for the front's connections: as many open files as the system lets this process have.

use rustix::process::{Resource, getrlimit, setrlimit};

/// No front needs more; some systems and programs go through all numbers there may be.
const ENOUGH: u64 = 32_768;

/// Raises this process's own limit. Returns what it was, for those that are started.
pub(crate) fn raise_limit() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current?;
    let wanted = limit.maximum.unwrap_or(ENOUGH).min(ENOUGH);
    limit.current = Some(wanted);
    (wanted > before && setrlimit(Resource::Nofile, limit).is_ok()).then_some(before)
}
