//! What is looked for: plain data.

use std::path::PathBuf;

/// A path and what must be said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// Absolute.
    pub path: PathBuf,
    /// It is a directory, whether it exists or not.
    pub is_dir: bool,
    /// Extensions or filters leave it out, whatever the rules say.
    pub left_out: bool,
    /// It lies in no root: nothing is ever watched there.
    pub outside: bool,
    /// It must be ignored; else it must be watched.
    pub ignored: bool,
}

/// What is looked for besides what every rule file shows.
#[derive(Debug, Clone, Default)]
pub struct Inspection {
    /// Files under version control, absolute: which of them are hidden? See [`crate::rules::tracked_files`].
    pub tracked: Vec<PathBuf>,
    /// Rules that match nothing: walks the whole tree, also what is ignored.
    pub matches_nothing: bool,
    /// What must be said of some paths.
    pub expectations: Vec<Expectation>,
}
