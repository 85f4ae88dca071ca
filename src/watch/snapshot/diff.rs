//! Compares a burst with the snapshot: the only place where changes are proven.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::fingerprint::{CompareOptions, Comparison, FileComparer};
use super::snapshot::{Snapshot, SnapshotFile};
use crate::change::{Batch, Change, ChangeKind};
use crate::watch::fs::{FileKind, FileSignature, PathMap, PathSet};
use crate::watch::{debounce::Burst, filter::Filter};

/// Delay before an extended burst is compared again.
const EXTENSION_STEP: Duration = Duration::from_millis(20);
/// Number of paths from which a second thread pays off.
const MIN_PATHS_FOR_THREAD: usize = 128;

/// Facts about the paths of a burst that the snapshot does not have.
#[derive(Debug, Default)]
pub(crate) struct BurstState {
    /// The signatures at the last event; `None` for a missing path. A file with another signature at the end
    /// of the burst is still being written.
    pub(crate) signatures: PathMap<Option<FileSignature>>,
    /// Files that were waited for long enough, and are reported even if they are still being written.
    pub(crate) waited_for: PathSet,
}

impl BurstState {
    /// Stores the current signature of a path. Returns whether it is another one than before.
    pub(crate) fn record(&mut self, path: &Path, signature: Option<FileSignature>) -> bool {
        self.signatures.insert(path.into(), signature) != Some(signature)
    }

    /// Whether the path was a regular file at the last event or, without an event, when last reported.
    fn was_file(&self, path: &OsString, known: Option<&SnapshotFile>) -> bool {
        let stored = self.signatures.get(path).copied();
        let signature = stored.unwrap_or_else(|| known.map(|known| known.signature));
        signature.is_some_and(|signature| signature.kind == FileKind::File)
    }

    /// Whether the file was written after the last event.
    fn changed_since_event(&self, path: &OsString, now: &FileSignature) -> bool {
        matches!(self.signatures.get(path), Some(Some(stored)) if !stored.is_same_write(now))
    }
}

/// A file that is still being written, with its current signature.
pub(crate) type FileInProgress = (PathBuf, FileSignature);

#[derive(Debug)]
pub(crate) enum DiffResult {
    /// The comparison is complete, and the snapshot is up to date.
    Compared {
        /// The changes; `None` if nothing has changed.
        batch: Option<Batch>,
        /// The files that were left out.
        in_progress: Vec<FileInProgress>,
    },
    /// Files are still being written, so the burst is to be compared again later. The snapshot is as before.
    Extended { in_progress: Vec<FileInProgress>, until: Instant },
}

/// Compares the paths of a burst with the snapshot, and updates the snapshot.
///
/// The burst is extended for files that are still being written. If it cannot be extended further, these
/// files are left out.
pub(crate) fn diff(
    snapshot: &mut Snapshot,
    filter: &Filter,
    burst: &Burst,
    state: &BurstState,
    options: CompareOptions,
    now: Instant,
) -> DiffResult {
    let mut paths: Vec<&OsString> = burst.paths.iter().collect();
    // As `Path` compares: with the lowest byte for `/`, the entries of a directory follow the directory itself.
    let as_key = |byte: &u8| if *byte == b'/' { 0 } else { *byte };
    paths.sort_by_cached_key(|path| path.as_bytes().iter().map(as_key).collect::<Vec<u8>>());
    let comparisons = compare_all(snapshot, filter, &paths, state, options);
    let in_progress: PathMap<FileSignature> = comparisons
        .iter()
        .filter_map(|(path, found)| {
            Some(((*path).clone(), signature_in_progress(snapshot, state, path, found)?))
        })
        .collect();
    let list = || in_progress.iter().map(|(path, signature)| (path.into(), *signature)).collect();
    if now < burst.extendable_until(now) && !in_progress.is_empty() {
        let until = burst.extendable_until(now).min(now + EXTENSION_STEP);
        return DiffResult::Extended { in_progress: list(), until };
    }
    let mut changes = Vec::new();
    for (path, comparison) in comparisons {
        if in_progress.contains_key(path) {
            continue;
        }
        if let Some(kind) = update(snapshot, filter, path.as_ref(), comparison) {
            changes.push(Change { path: path.into(), kind });
        }
    }
    // The content that was read may be newer than the last event, and the event for it will find nothing new.
    // So only a generation that starts after this moment has certainly seen it.
    let (first_event_at, compared_at) = (burst.first, Instant::now());
    let batch = (!changes.is_empty()).then_some(Batch { changes, first_event_at, compared_at });
    DiffResult::Compared { batch, in_progress: list() }
}

/// The signature of a file that is still being written; `None` for every other path.
fn signature_in_progress(
    snapshot: &Snapshot,
    state: &BurstState,
    path: &OsString,
    comparison: &Comparison,
) -> Option<FileSignature> {
    if state.waited_for.contains(path) {
        return None;
    }
    match comparison {
        Comparison::StillChanging(file) => Some(file.signature),
        Comparison::Changed(file) => {
            let found = file.signature;
            // A program that has emptied a file most likely writes to it next.
            let had_content = || snapshot.file(path.as_ref()).is_some_and(|known| known.signature.size > 0);
            let was_emptied = found.size == 0 && had_content();
            (was_emptied || state.changed_since_event(path, &found)).then_some(found)
        }
        _ => None,
    }
}

fn compare_all<'a>(
    snapshot: &Snapshot,
    filter: &Filter,
    paths: &[&'a OsString],
    state: &BurstState,
    options: CompareOptions,
) -> Vec<(&'a OsString, Comparison)> {
    let compare = |paths: &[&'a OsString]| {
        let mut comparer = FileComparer::new(options);
        let compare = |path: &&'a OsString| {
            let known = snapshot.file(path.as_ref());
            let links = filter.links(path.as_ref());
            (*path, comparer.compare(path.as_ref(), known, state.was_file(path, known), links))
        };
        paths.iter().map(compare).collect::<Vec<_>>()
    };
    if paths.len() < MIN_PATHS_FOR_THREAD {
        return compare(paths);
    }
    let (one, other) = paths.split_at(paths.len() / 2);
    std::thread::scope(|scope| {
        let helper = std::thread::Builder::new().spawn_scoped(scope, || compare(other)).ok();
        let mut comparisons = compare(one);
        let others = helper.and_then(|helper| helper.join().ok());
        // If no second thread could be started, this one does its part too.
        comparisons.extend(others.unwrap_or_else(|| compare(other)));
        comparisons
    })
}

/// Updates the snapshot for one path. Returns the kind of change, if the path has changed.
fn update(snapshot: &mut Snapshot, filter: &Filter, path: &Path, found: Comparison) -> Option<ChangeKind> {
    match found {
        Comparison::Same(file) => {
            filter.stats.add_event_ignored();
            tracing::debug!(?path, "no change: same content as before");
            if let Some(known) = snapshot.file_mut(path) {
                *known = file;
            }
            None
        }
        Comparison::Changed(file) | Comparison::StillChanging(file) => {
            // The rules, or the content by which they decide, may have changed since the event.
            if !filter.counts_file(path) {
                filter.stats.add_event_ignored();
                tracing::debug!(?path, why = filter.why_not(path), "no change");
                snapshot.remove_file(path);
                return None;
            }
            if let Some(known) = snapshot.file_mut(path) {
                *known = file;
                return Some(ChangeKind::Modified);
            }
            snapshot.insert_file(path.parent()?, file).then_some(ChangeKind::Created)
        }
        Comparison::Missing => {
            let was_known = snapshot.remove_file(path);
            tracing::debug!(?path, was_known, "path removed");
            if let Some(parent) = path.parent() {
                snapshot.prune(parent);
            }
            was_known.then_some(ChangeKind::Removed)
        }
        Comparison::Unknown => None,
    }
}
