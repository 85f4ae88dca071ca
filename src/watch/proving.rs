//! A burst in, a proven batch out.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::change::{Batch, Change, ChangeKind};

use super::coalesce::Burst;
use super::compare::{Comparer, Proof};
use super::filter::Filter;
use super::options::Compare;
use super::stamp::Stamp;
use super::tree::Tree;

/// A file that is still being written is waited for so long after the last hint; then it counts as it is.
const LONGEST_WRITE: Duration = Duration::from_secs(1);
/// A file that was emptied is most likely about to be filled again: so long after the last hint.
const LONGEST_EMPTY: Duration = Duration::from_millis(100);
/// Below this many paths a second thread costs more than it brings.
const WORTH_THREADS: usize = 128;

/// What a burst came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// These paths have changed; the snapshot knows. None: nothing has.
    Proven(Option<Batch>),
    /// These files are still being written. Nothing was decided.
    Unsettled(Burst, Vec<PathBuf>),
}

/// How to compare.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Means {
    pub(crate) how: Compare,
    pub(crate) limit: u64,
}

/// Compares the paths of a burst with the snapshot, and brings it up to date. `seen`: what they looked like when
/// they were hinted at.
pub(crate) fn prove(
    tree: &mut Tree,
    filter: &Filter,
    burst: Burst,
    seen: &HashMap<PathBuf, Stamp>,
    means: Means,
    now: Instant,
) -> Outcome {
    let mut paths: Vec<&PathBuf> = burst.paths.iter().collect();
    paths.sort_unstable();
    let proofs = proofs(tree, &paths, means);
    let quiet = now.saturating_duration_since(burst.last);
    let is_written = |path: &Path, proof: &Proof| match proof {
        Proof::Unsettled(_) => quiet < LONGEST_WRITE,
        Proof::Changed(entry) => {
            let was_emptied =
                entry.stamp.size == 0 && tree.file(path).is_some_and(|known| known.stamp.size > 0);
            (was_emptied && quiet < LONGEST_EMPTY)
                || (quiet < LONGEST_WRITE
                    && seen.get(path).is_some_and(|seen| !seen.is_same_write(&entry.stamp)))
        }
        _ => false,
    };
    let unsettled = proofs.iter().filter(|(path, proof)| is_written(path, proof));
    let unsettled: Vec<_> = unsettled.map(|(path, _)| (*path).clone()).collect();
    if !unsettled.is_empty() {
        drop(proofs);
        return Outcome::Unsettled(burst, unsettled);
    }
    let changes = proofs.into_iter().filter_map(|(path, proof)| {
        let kind = take(tree, filter, path, proof)?;
        Some(Change { path: path.clone(), kind })
    });
    let changes: Vec<_> = changes.collect();
    // What was read may be newer than the last hint, and the hint that belongs to it will then find nothing new:
    // only a generation that starts from now on has surely seen it.
    let (first, last) = (burst.first, Instant::now());
    Outcome::Proven((!changes.is_empty()).then_some(Batch { changes, first, last }))
}

fn proofs<'a>(tree: &Tree, paths: &[&'a PathBuf], means: Means) -> Vec<(&'a PathBuf, Proof)> {
    let work = |paths: &[&'a PathBuf]| {
        let mut comparer = Comparer::new(means.how, means.limit);
        paths.iter().map(|path| (*path, comparer.prove(path, tree.file(path)))).collect::<Vec<_>>()
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
            tracing::debug!(?path, "no change: the same content as before");
            if let Some(known) = tree.file_mut(path) {
                *known = entry;
            }
            None
        }
        Proof::Changed(entry) | Proof::Unsettled(entry) => {
            // The rules may have changed since the hint.
            if !is_known && !filter.counts_file(path) {
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
