//! Merges a directory as found on disk into the snapshot.

use std::collections::HashSet;
use std::path::PathBuf;

use crate::watch::filter::Filter;
use crate::watch::queue::{RawEvent, RawEventKind};

use super::snapshot::{Snapshot, SnapshotDir, SnapshotFile};

/// How a walk treats files that the snapshot does not have, and directories that have a watch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SyncMode<'a> {
    /// The first walk: each file enters the snapshot without an event.
    Initial,
    /// Each unknown file is new.
    Rescan,
    /// Each unknown file is new, and each directory is watched again, because it may have been moved or
    /// recreated.
    Rewatch,
    /// The rules have changed: an unknown file enters the snapshot without an event if it was ignored until
    /// now.
    NewRules {
        /// Files that changed before this time count as ignored until now. Nanoseconds since the epoch.
        unchanged_since: i64,
        /// Files that wait to be compared, and so are new.
        pending: &'a HashSet<PathBuf>,
    },
}

impl SyncMode<'_> {
    /// Whether a file that the snapshot does not have enters it without an event.
    fn accepts_unknown(self, path: &PathBuf, file: &SnapshotFile) -> bool {
        match self {
            Self::Initial => true,
            Self::Rescan | Self::Rewatch => false,
            Self::NewRules { unchanged_since, pending } => {
                file.signature().changed_before(unchanged_since) && !pending.contains(path)
            }
        }
    }
}

/// Inserts a directory as found on disk. A file that differs stays in the snapshot as last reported; the
/// returned event makes the worker compare it.
pub(super) fn merge(
    snapshot: &mut Snapshot,
    filter: &Filter,
    found: SnapshotDir,
    mode: SyncMode<'_>,
    events: &mut Vec<RawEvent>,
) {
    let known = snapshot.dir(found.path());
    report_rule_files(known, &found, events);
    if known.is_none() && matches!(mode, SyncMode::Initial) {
        snapshot.insert_dir(found);
        return;
    }
    let mut files = merge_found_files(known, &found, mode, events);
    let mut dirs = found.dirs().to_vec();
    if let Some(known) = known {
        for file in known.files().iter().filter(|file| found.file(file.name()).is_none()) {
            let path = found.path().join(file.name());
            if filter.counts_file(&path) {
                events.push(RawEvent::new(path, RawEventKind::Removed));
                files.push(file.clone());
            }
        }
        let gone = known.dirs().iter().filter(|name| found.dirs().binary_search(name).is_err());
        dirs.extend(gone.filter(|name| snapshot.dir(&found.path().join(&***name)).is_some()).cloned());
    }
    snapshot.insert_dir(found.with_entries(files, dirs));
}

/// The files of a directory on disk, as the snapshot is to have them.
fn merge_found_files(
    known: Option<&SnapshotDir>,
    found: &SnapshotDir,
    mode: SyncMode<'_>,
    events: &mut Vec<RawEvent>,
) -> Vec<SnapshotFile> {
    let mut files = Vec::with_capacity(found.files().len());
    for file in found.files() {
        let path = || found.path().join(file.name());
        if let Some(known) = known.and_then(|dir| dir.file(file.name())) {
            if !known.is_unchanged(file.signature()) {
                events.push(RawEvent::new(path(), RawEventKind::Written));
            }
            files.push(known.clone());
            continue;
        }
        let path = path();
        if mode.accepts_unknown(&path, file) {
            files.push(file.clone());
        } else {
            // A program that has created an empty file most likely writes to it next.
            let is_new = file.signature().is_empty_file();
            let kind = if is_new { RawEventKind::Created } else { RawEventKind::Written };
            events.push(RawEvent::new(path, kind));
        }
    }
    files
}

/// Reports rule files that were created, removed or changed after they were read, or may have been.
fn report_rule_files(known: Option<&SnapshotDir>, found: &SnapshotDir, events: &mut Vec<RawEvent>) {
    let known_files = known.map_or(&[][..], SnapshotDir::rule_files);
    let has_changed =
        |file: &&SnapshotFile| match known_files.iter().find(|known| known.name() == file.name()) {
            Some(known) => !known.is_unchanged(file.signature()),
            None => file.is_racy() || known.is_some(),
        };
    let is_gone = |known: &&SnapshotFile| !found.rule_files().iter().any(|file| file.name() == known.name());
    let changed = found.rule_files().iter().filter(has_changed);
    let gone = known_files.iter().filter(is_gone);
    let event = |file: &SnapshotFile| RawEvent::new(found.path().join(file.name()), RawEventKind::Written);
    events.extend(changed.chain(gone).map(event));
}
