//! A burst in, a proven batch out.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::change::{Batch, Change, ChangeKind};

use super::coalesce::Burst;
use super::compare::{Comparer, Proof};
use super::filter::Filter;
use super::options::Compare;
use super::stamp::{Kind, Stamp};
use super::tree::Tree;

/// A burst that is held back for a file being written is looked at again after so long.
const AGAIN: Duration = Duration::from_millis(20);
/// Below this many paths a second thread costs more than it brings.
const WORTH_THREADS: usize = 128;

/// What a burst came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// These paths have changed; the snapshot knows. None: nothing has.
    Proven(Option<Batch>, Vec<Unsettled>),
    /// Some files are just being written. Nothing was decided; to be looked at again then.
    Held(Burst, Vec<Unsettled>, Instant),
}

/// A file that is still being written, and how it looks.
pub(crate) type Unsettled = (PathBuf, Stamp);

/// What is known of the paths of a burst beside the snapshot.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// What they looked like when they were last hinted at: what looks otherwise at the burst's end is still being
    /// written. None: it was not there.
    pub(crate) stamps: HashMap<PathBuf, Option<Stamp>>,
    /// They were waited for long enough: they are taken as they are.
    pub(crate) waited_for: HashSet<PathBuf>,
}

impl Seen {
    /// The burst is over.
    pub(crate) fn clear(&mut self) {
        self.stamps.clear();
        self.waited_for.clear();
    }

    /// Whether it was a regular file when it was last hinted at.
    fn was_file(&self, path: &Path) -> bool {
        matches!(self.stamps.get(path), Some(Some(seen)) if seen.kind == Kind::File)
    }

    /// Whether it was written since it was hinted at.
    fn moves(&self, path: &Path, now: &Stamp) -> bool {
        matches!(self.stamps.get(path), Some(Some(seen)) if !seen.is_same_write(now))
    }
}

/// How to compare.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Means {
    pub(crate) how: Compare,
    pub(crate) limit: u64,
}

/// Compares the paths of a burst with the snapshot, and brings it up to date, but for the files that are still
/// being written: for these the burst is held back for a moment, then they are left out of it.
pub(crate) fn prove(
    tree: &mut Tree,
    filter: &Filter,
    burst: Burst,
    seen: &Seen,
    means: Means,
    now: Instant,
) -> Outcome {
    let mut paths: Vec<&PathBuf> = burst.paths.iter().collect();
    paths.sort_unstable();
    let proofs = proofs(tree, &paths, seen, means);
    let may_hold = now < burst.hold_until;
    let unsettled = |path: &Path, proof: &Proof| match proof {
        _ if seen.waited_for.contains(path) => None,
        Proof::Unsettled(entry) => Some(entry.stamp),
        Proof::Changed(entry) => {
            let was_emptied =
                entry.stamp.size == 0 && tree.file(path).is_some_and(|known| known.stamp.size > 0);
            // Most likely it is about to be filled again; what stays empty was meant to be.
            (was_emptied || seen.moves(path, &entry.stamp)).then_some(entry.stamp)
        }
        _ => None,
    };
    let is_unsettled = |(path, proof): &(&PathBuf, Proof)| unsettled(path, proof);
    let unsettled: HashMap<_, _> =
        proofs.iter().filter_map(|one| Some((one.0.clone(), is_unsettled(one)?))).collect();
    if may_hold && !unsettled.is_empty() {
        drop(proofs);
        let until = burst.hold_until.min(now + AGAIN);
        return Outcome::Held(burst, unsettled.into_iter().collect(), until);
    }
    let settled = proofs.into_iter().filter(|(path, _)| !unsettled.contains_key(*path));
    let changes = settled.filter_map(|(path, proof)| {
        let kind = take(tree, filter, path, proof)?;
        Some(Change { path: path.clone(), kind })
    });
    let changes: Vec<_> = changes.collect();
    // What was read may be newer than the last hint, and the hint that belongs to it will then find nothing new:
    // only a generation that starts from now on has surely seen it.
    let (first, last) = (burst.first, Instant::now());
    let batch = (!changes.is_empty()).then_some(Batch { changes, first, last });
    Outcome::Proven(batch, unsettled.into_iter().collect())
}

fn proofs<'a>(tree: &Tree, paths: &[&'a PathBuf], seen: &Seen, means: Means) -> Vec<(&'a PathBuf, Proof)> {
    let work = |paths: &[&'a PathBuf]| {
        let mut comparer = Comparer::new(means.how, means.limit);
        paths
            .iter()
            .map(|path| (*path, comparer.prove(path, tree.file(path), seen.was_file(path))))
            .collect::<Vec<_>>()
    };
    if paths.len() < WORTH_THREADS {
        return work(paths);
    }
    let (one, other) = paths.split_at(paths.len() / 2);
    std::thread::scope(|scope| {
        let helper = scope.spawn(|| work(other));
        let mut proofs = work(one);
        // A helper that could not do its part leaves it to us.
        proofs.extend(helper.join().unwrap_or_else(|_| work(other)));
        proofs
    })
}

/// Takes one proof into the snapshot; gives what kind of change it is, if it is one.
fn take(tree: &mut Tree, filter: &Filter, path: &Path, proof: Proof) -> Option<ChangeKind> {
    let is_known = tree.file(path).is_some();
    match proof {
        Proof::Same(entry) => {
            filter.tally.ignores();
            tracing::debug!(?path, "no change: the same content as before");
            if let Some(known) = tree.file_mut(path) {
                *known = entry;
            }
            None
        }
        Proof::Changed(entry) | Proof::Unsettled(entry) => {
            // The rules may have changed since the hint.
            if !is_known && !filter.counts_file(path) {
                filter.tally.ignores();
                tracing::debug!(?path, why = filter.why_not(path), "no change");
                return None;
            }
            tree.put_file(path.parent()?, entry).then_some(if is_known {
                ChangeKind::Modified
            } else {
                ChangeKind::Created
            })
        }
        Proof::Missing => {
            tracing::debug!(?path, was_known = is_known, "it is gone");
            tree.remove_file(path);
            path.parent().inspect(|parent| tree.prune(parent));
            is_known.then_some(ChangeKind::Removed)
        }
        Proof::Unknown => None,
    }
}
