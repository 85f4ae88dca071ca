//! A burst in, a proven batch out.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::change::{Batch, Change, ChangeKind};

use crate::watch::debounce::debouncer::Burst;
use crate::watch::filter::Filter;
use crate::watch::fs::paths::{PathMap, PathSet, order};
use crate::watch::fs::signature::{FileSignature, Kind};
use crate::watch::options::Compare;
use crate::watch::snapshot::fingerprint::{Comparison, FileComparer};
use crate::watch::snapshot::snapshot::{Entry, Snapshot};

/// A burst that is held back for a file being written is looked at again after so long.
const RESCAN: Duration = Duration::from_millis(20);
/// Below this many paths a second thread costs more than it brings.
const WORTH_THREADS: usize = 128;

/// What a burst came to.
#[derive(Debug)]
pub(crate) enum DiffResult {
    /// These paths have changed; the snapshot knows. None: nothing has.
    Proven(Option<Batch>, Vec<StillChanging>),
    /// Some files are just being written. Nothing was decided; to be looked at again then.
    Held(Vec<StillChanging>, Instant),
}

/// A file that is still being written, and how it looks.
pub(crate) type StillChanging = (PathBuf, FileSignature);

/// What is known of the paths of a burst beside the snapshot.
#[derive(Debug, Default)]
pub(crate) struct BurstState {
    /// What they looked like when they were last hinted at: what looks otherwise at the burst's end is still being
    /// written. None: it was not there.
    pub(crate) stamps: PathMap<Option<FileSignature>>,
    /// They were waited for long enough: they are taken as they are.
    pub(crate) waited_for: PathSet,
}

impl BurstState {
    /// The burst is over.
    pub(crate) fn clear(&mut self) {
        self.stamps.clear();
        self.waited_for.clear();
    }

    /// Whether it was a regular file when it was last hinted at, or, if it was not looked at then, when it was last reported.
    fn was_file(&self, path: &OsString, known: Option<&Entry>) -> bool {
        let seen = self.stamps.get(path).copied().unwrap_or_else(|| known.map(|known| known.signature));
        seen.is_some_and(|seen| seen.kind == Kind::File)
    }

    /// Whether it was written since it was hinted at.
    fn changed_since_event(&self, path: &OsString, now: &FileSignature) -> bool {
        matches!(self.stamps.get(path), Some(Some(seen)) if !seen.is_same_write(now))
    }
}

/// SyncMode to compare.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CompareOptions {
    pub(crate) how: Compare,
    pub(crate) limit: u64,
}

/// Compares the paths of a burst with the snapshot, and brings it up to date, but for the files that are still
/// being written: for these the burst is held back for a moment, then they are left out of it.
pub(crate) fn prove(
    tree: &mut Snapshot,
    filter: &Filter,
    burst: &Burst,
    seen: &BurstState,
    means: CompareOptions,
    now: Instant,
) -> DiffResult {
    let mut paths: Vec<&OsString> = burst.paths.iter().collect();
    paths.sort_unstable_by(|one, other| order(one, other));
    let proofs = proofs(tree, &paths, seen, means);
    let may_hold = now < burst.hold_until;
    let unsettled = |path: &OsString, proof: &Comparison| match proof {
        _ if seen.waited_for.contains(path) => None,
        Comparison::StillChanging(entry) => Some(entry.signature),
        Comparison::Changed(entry) => {
            let was_emptied = entry.signature.size == 0
                && tree.file(path.as_ref()).is_some_and(|known| known.signature.size > 0);
            // Most likely it is about to be filled again; what stays empty was meant to be.
            (was_emptied || seen.changed_since_event(path, &entry.signature)).then_some(entry.signature)
        }
        _ => None,
    };
    let is_unsettled = |(path, proof): &(&OsString, Comparison)| unsettled(path, proof);
    let unsettled: PathMap<_> =
        proofs.iter().filter_map(|one| Some((one.0.clone(), is_unsettled(one)?))).collect();
    let reported = || unsettled.iter().map(|(path, signature)| (path.into(), *signature)).collect();
    if may_hold && !unsettled.is_empty() {
        return DiffResult::Held(reported(), burst.hold_until.min(now + RESCAN));
    }
    let settled = proofs.into_iter().filter(|(path, _)| !unsettled.contains_key(*path));
    let changes = settled.filter_map(|(path, proof)| {
        let kind = take(tree, filter, path.as_ref(), proof)?;
        Some(Change { path: path.into(), kind })
    });
    let changes: Vec<_> = changes.collect();
    // What was read may be newer than the last hint, and the hint that belongs to it will then find nothing new:
    // only a generation that starts from now on has surely seen it.
    let (first, last) = (burst.first, Instant::now());
    let batch = (!changes.is_empty()).then_some(Batch { changes, first, last });
    DiffResult::Proven(batch, reported())
}

fn proofs<'a>(
    tree: &Snapshot,
    paths: &[&'a OsString],
    seen: &BurstState,
    means: CompareOptions,
) -> Vec<(&'a OsString, Comparison)> {
    let work = |paths: &[&'a OsString]| {
        let mut comparer = FileComparer::new(means.how, means.limit);
        let prove = |path: &&'a OsString| {
            let known = tree.file(path.as_ref());
            (*path, comparer.prove(path.as_ref(), known, seen.was_file(path, known)))
        };
        paths.iter().map(prove).collect::<Vec<_>>()
    };
    if paths.len() < WORTH_THREADS {
        return work(paths);
    }
    let (one, other) = paths.split_at(paths.len() / 2);
    std::thread::scope(|scope| {
        let helper = std::thread::Builder::new().spawn_scoped(scope, || work(other)).ok();
        let mut proofs = work(one);
        // A helper that could not do its part leaves it to us.
        proofs.extend(helper.and_then(|helper| helper.join().ok()).unwrap_or_else(|| work(other)));
        proofs
    })
}

/// Takes one proof into the snapshot; gives what kind of change it is, if it is one.
fn take(tree: &mut Snapshot, filter: &Filter, path: &Path, proof: Comparison) -> Option<ChangeKind> {
    let known = tree.file_mut(path);
    match proof {
        Comparison::Same(entry) => {
            filter.stats.add_event_ignored();
            tracing::debug!(?path, "no change: the same content as before");
            if let Some(known) = known {
                *known = entry;
            }
            None
        }
        Comparison::Changed(entry) | Comparison::StillChanging(entry) => {
            if let Some(known) = known {
                *known = entry;
                return Some(ChangeKind::Modified);
            }
            // The rules may have changed since the hint.
            if !filter.counts_file(path) {
                filter.stats.add_event_ignored();
                tracing::debug!(?path, why = filter.why_not(path), "no change");
                return None;
            }
            tree.put_file(path.parent()?, entry).then_some(ChangeKind::Created)
        }
        Comparison::Missing => {
            let is_known = known.is_some();
            tracing::debug!(?path, was_known = is_known, "it is gone");
            tree.remove_file(path);
            path.parent().inspect(|parent| tree.prune(parent));
            is_known.then_some(ChangeKind::Removed)
        }
        Comparison::Unknown => None,
    }
}
