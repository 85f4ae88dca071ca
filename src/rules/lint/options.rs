//! The options of [`lint`](super::lint()).

use std::path::PathBuf;

use crate::rules::pattern::EntryKind;
use crate::rules::verdict::Decision;

/// Checks that [`lint`](super::lint()) makes in addition to those of the rule files.
#[derive(Debug, Clone, Default)]
pub struct LintOptions {
    /// Files under version control, absolute. Each ignored one is reported with the rule that ignores it. See
    /// [`tracked_files`](crate::rules::tracked_files).
    pub tracked: Vec<PathBuf>,
    /// Report rules that match nothing. This walks the whole tree, ignored directories included.
    pub matches_nothing: bool,
    /// Paths whose decision is fixed in advance; each other decision is reported.
    pub expectations: Vec<Expectation>,
}

/// A path and the decision that the rules must make about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// The path, absolute.
    pub path: PathBuf,
    /// The kind of the path; the path need not exist.
    pub kind: EntryKind,
    /// The decision that is expected.
    pub expected: Decision,
    /// Whether the watch looks at the path at all.
    pub scope: Scope,
}

/// Whether a watch looks at a path, before any rule is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// The rules decide.
    Inside,
    /// The path lies in no root, so nothing there is watched.
    OutsideRoots,
    /// The extensions and filters of the watch leave the file out.
    NotSelected,
}
