//! What is known of who wrote a changed file: plain data, gathered by `witness`, weighed by `loops`.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Who wrote a file since it was last asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writer {
    /// A process of the child's tree, or one that only passes on what the child prints: proven.
    Child,
    /// Somebody else, also if the child did too.
    Other,
}

/// What is known of the paths of one batch; nothing of those that are missing.
pub(super) type Evidence = BTreeMap<PathBuf, Writer>;

/// How much it is worth to know who writes a file next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interest {
    /// Its writers may be listened for, if that costs them nothing.
    Passing,
    /// They may be held up for a moment, shortly after a start.
    Close,
    /// At any time: it is proven that the child writes it.
    Lasting,
}

/// A file whose next writer is of interest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Suspected {
    pub(super) path: PathBuf,
    pub(super) interest: Interest,
}
