//! The currency of the house: what has changed, proven.
//!
//! Only `watch::compare` makes a [`Change`]; everything after it may rely on it. This file knows no
//! room and uses nothing but the standard library.

use std::cmp::Ordering;
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

impl Change {
    /// The two changes of one path as one; `None` if they cancel out.
    fn then(self, later: ChangeKind) -> Option<Self> {
        let kind = match (self.kind, later) {
            (ChangeKind::Created, ChangeKind::Removed) => return None,
            (ChangeKind::Created, _) => ChangeKind::Created,
            (ChangeKind::Removed, ChangeKind::Created) => ChangeKind::Modified,
            (_, later) => later,
        };
        Some(Self { kind, ..self })
    }
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
        let mut earlier = std::mem::take(&mut self.changes).into_iter().peekable();
        let mut later = later.changes.into_iter().peekable();
        self.changes.reserve(earlier.len().max(later.len()));
        loop {
            let next = match (earlier.peek(), later.peek()) {
                (Some(one), Some(other)) => one.path.cmp(&other.path),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => break,
            };
            let before = earlier.next_if(|_| next.is_le());
            let after = later.next_if(|_| next.is_ge());
            self.changes.extend(match (before, after) {
                (Some(before), Some(after)) => before.then(after.kind),
                (before, after) => before.or(after),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn joined_batches_say_what_became_of_each_path() {
        use ChangeKind::{Created, Modified, Removed};
        // What the two batches say of a path, and what that comes to.
        let cases = [
            (Some(Created), Some(Removed), None),
            (Some(Created), Some(Modified), Some(Created)),
            (Some(Removed), Some(Created), Some(Modified)),
            (Some(Modified), Some(Removed), Some(Removed)),
            (Some(Modified), None, Some(Modified)),
            (None, Some(Created), Some(Created)),
        ];
        let at = Instant::now();
        let batch = |changes: BTreeMap<PathBuf, ChangeKind>| {
            let changes = changes.into_iter().map(|(path, kind)| Change { path, kind }).collect();
            Batch { changes, first: at, last: at }
        };
        let (mut before, mut after, mut expected) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for number in 0..60 {
            let path = PathBuf::from(format!("/p{number}/a"));
            let (one, other, both) = cases[number * 7 % cases.len()];
            one.map(|kind| before.insert(path.clone(), kind));
            other.map(|kind| after.insert(path.clone(), kind));
            both.map(|kind| expected.insert(path.clone(), kind));
        }
        let mut joined = batch(before);
        joined.merge(batch(after));
        assert_eq!(joined, batch(expected));
    }
}
