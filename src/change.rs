//! Proven changes of files, and batches of them. The watch makes them, and the rest of the crate relies on
//! them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

/// One relevant path whose existence or content differs from before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The absolute path.
    pub path: PathBuf,
    /// How the path differs.
    pub kind: ChangeKind,
}

/// The changes of one burst, sorted by path, each path once. A watch never emits an empty batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The changes.
    pub changes: Vec<Change>,
    /// When the first file system event of the burst was received. Latencies count from here.
    pub first_event_at: Instant,
    /// When the comparison of the changed files ended. A generation that started later has read their present
    /// content; one that started earlier may not have.
    pub compared_at: Instant,
}

/// How a path differs from before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChangeKind {
    /// The path did not exist before.
    Created,
    /// The path existed before, with other content.
    Modified,
    /// The path does not exist any more.
    Removed,
}

impl ChangeKind {
    /// `created`, `changed` or `removed`.
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

impl Batch {
    /// Appends a later batch: each path appears once, with its two changes combined.
    ///
    /// A path that was created and then removed disappears from the batch, so the result may have no changes.
    /// A path that was removed and then created counts as modified.
    ///
    /// ```
    /// use devrun::change::{Batch, Change, ChangeKind};
    /// use std::time::Instant;
    ///
    /// let batch = |path: &str, kind| {
    ///     let changes = vec![Change { path: path.into(), kind }];
    ///     Batch { changes, first_event_at: Instant::now(), compared_at: Instant::now() }
    /// };
    /// let mut all = batch("/app/src/b.rs", ChangeKind::Removed);
    /// all.merge(batch("/app/src/a.rs", ChangeKind::Created));
    /// all.merge(batch("/app/src/b.rs", ChangeKind::Created));
    /// let lines: Vec<String> =
    ///     all.changes.iter().map(|change| format!("{} {}", change.path.display(), change.kind)).collect();
    /// assert_eq!(lines, ["/app/src/a.rs created", "/app/src/b.rs changed"]);
    /// ```
    pub fn merge(&mut self, later: Batch) {
        self.first_event_at = self.first_event_at.min(later.first_event_at);
        self.compared_at = self.compared_at.max(later.compared_at);
        let earlier = std::mem::take(&mut self.changes).into_iter();
        let mut merged: BTreeMap<PathBuf, ChangeKind> =
            earlier.map(|change| (change.path, change.kind)).collect();
        for Change { path, kind } in later.changes {
            let combined = match (merged.remove(&path), kind) {
                (Some(ChangeKind::Created), ChangeKind::Removed) => continue,
                (Some(ChangeKind::Created), _) => ChangeKind::Created,
                (Some(ChangeKind::Removed), ChangeKind::Created) => ChangeKind::Modified,
                (_, later) => later,
            };
            merged.insert(path, combined);
        }
        self.changes = merged.into_iter().map(|(path, kind)| Change { path, kind }).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_batches_combine_the_changes_of_each_path() {
        use ChangeKind::{Created, Modified, Removed};
        // The change of a path in the first batch, in the second, and after the merge.
        let cases = [
            (Some(Created), Some(Removed), None),
            (Some(Created), Some(Modified), Some(Created)),
            (Some(Removed), Some(Created), Some(Modified)),
            (Some(Modified), Some(Removed), Some(Removed)),
            (Some(Modified), None, Some(Modified)),
            (None, Some(Created), Some(Created)),
        ];
        let at = Instant::now();
        let batch = |kind: Option<ChangeKind>| {
            let changes = kind.map(|kind| Change { path: "/a".into(), kind }).into_iter().collect();
            Batch { changes, first_event_at: at, compared_at: at }
        };
        for (first, second, expected) in cases {
            let mut merged = batch(first);
            merged.merge(batch(second));
            assert_eq!(merged, batch(expected), "{first:?}, then {second:?}");
        }
    }
}
