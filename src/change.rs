//! The currency of the house: what has changed, proven.
//!
//! Only `watch::compare` makes a [`Change`]; everything after it may rely on it. This file knows no
//! room and uses nothing but the standard library.

use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

/// How a path differs from what was known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChangeKind {
    /// The path was not there before.
    Created,
    /// The path was there before, with other content.
    Modified,
    /// The path is no longer there.
    Removed,
}

impl ChangeKind {
    /// The word for it in devrun's output: `created`, `changed` or `removed`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Modified => "changed",
            Self::Removed => "removed",
        }
    }
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One relevant path whose existence or content differs from before: proven, not hinted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The absolute path.
    pub path: PathBuf,
    /// What happened to it.
    pub kind: ChangeKind,
}

/// The changes of one burst, sorted by path, each path once. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// What changed.
    pub changes: Vec<Change>,
    /// When the first hint of the burst was received: latencies are counted from here.
    pub first: Instant,
    /// When the last look at the changed files had ended: a generation that started after this is up to date, one
    /// that started before may not be.
    pub last: Instant,
}

impl Batch {
    /// Joins a later batch to this one: each path once, its kinds combined.
    ///
    /// A path created and then removed within the two cancels out only if both kinds say so; a removed
    /// and then created path counts as modified. The result may be empty of changes.
    ///
    /// ```
    /// use devrun::change::{Batch, Change, ChangeKind};
    /// use std::time::Instant;
    ///
    /// let batch = |path: &str, kind| {
    ///     let changes = vec![Change { path: path.into(), kind }];
    ///     Batch { changes, first: Instant::now(), last: Instant::now() }
    /// };
    /// let mut all = batch("/app/src/b.rs", ChangeKind::Removed);
    /// all.merge(batch("/app/src/a.rs", ChangeKind::Created));
    /// all.merge(batch("/app/src/b.rs", ChangeKind::Created));
    /// let told: Vec<String> =
    ///     all.changes.iter().map(|change| format!("{} {}", change.path.display(), change.kind)).collect();
    /// assert_eq!(told, ["/app/src/a.rs created", "/app/src/b.rs changed"]);
    /// ```
    pub fn merge(&mut self, later: Batch) {
        self.first = self.first.min(later.first);
        self.last = self.last.max(later.last);
        for change in later.changes {
            match self.changes.binary_search_by(|known| known.path.cmp(&change.path)) {
                Err(at) => self.changes.insert(at, change),
                Ok(at) => match (self.changes[at].kind, change.kind) {
                    (ChangeKind::Created, ChangeKind::Removed) => {
                        self.changes.remove(at);
                    }
                    (ChangeKind::Created, _) => {}
                    (ChangeKind::Removed, ChangeKind::Created) => {
                        self.changes[at].kind = ChangeKind::Modified
                    }
                    (_, kind) => self.changes[at].kind = kind,
                },
            }
        }
    }
}
