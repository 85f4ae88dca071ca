//! The changes that wait: the current burst, and the files that are still being written.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::change::{Batch, Change};
use crate::watch::{
    debounce::{Burst, Debouncer, InProgressWrites},
    fs::FileSignature,
    queue::{RawEvent, RawEventKind},
    snapshot::{BurstState, CompareOptions, DiffResult, SnapshotSync, diff},
};

/// Maximum number of changes in a burst whose files are followed if they grow.
const MAX_FOLLOWED: usize = 64;

/// The current burst, with facts about its paths.
#[derive(Debug)]
pub(super) struct BurstTracker {
    pub(super) debouncer: Debouncer,
    pub(super) in_progress: InProgressWrites,
    state: BurstState,
    options: CompareOptions,
}

/// The result of comparing a burst.
#[derive(Debug)]
pub(super) enum BurstResult {
    /// The burst goes on, because files are still being written.
    Extended,
    NoChange,
    Changed(Batch),
}

impl BurstTracker {
    pub(super) fn new(debounce: Option<Duration>, options: CompareOptions) -> Self {
        Self {
            debouncer: Debouncer::new(debounce),
            in_progress: InProgressWrites::default(),
            state: BurstState::default(),
            options,
        }
    }

    /// The paths that wait to be compared.
    pub(super) fn pending_paths(&self) -> impl Iterator<Item = PathBuf> {
        let burst = self.debouncer.paths().map(Path::to_owned);
        burst.chain(self.in_progress.paths().cloned())
    }

    /// Number of paths with a recorded signature.
    pub(super) fn recorded(&self) -> usize {
        self.state.recorded()
    }

    /// Adds an event, with the signature that the path has now.
    pub(super) fn add(&mut self, event: RawEvent, signature: Option<FileSignature>, at: Instant) {
        self.state.record(&event.path, signature);
        self.debouncer.push(event, at);
    }

    /// Adds an event for a path that was not examined.
    pub(super) fn add_unexamined(&mut self, event: RawEvent, at: Instant) {
        self.state.forget(&event.path);
        self.debouncer.push(event, at);
    }

    /// Adds a difference found by a scan. A repeated one does not prolong the burst.
    pub(super) fn add_scanned(&mut self, event: RawEvent, signature: Option<FileSignature>, now: Instant) {
        let RawEvent { path, kind } = event;
        if let Some(signature) = signature
            && (self.in_progress.contains(&path) || self.in_progress.is_growing(&path, &signature, now))
        {
            self.in_progress.add(path, signature, now);
            return;
        }
        if self.state.record(&path, signature) {
            let kind = if signature.is_none() { RawEventKind::Removed } else { kind };
            self.debouncer.push(RawEvent::new(path, kind), now);
        }
    }

    /// Checks the files that are still being written.
    pub(super) fn check_in_progress(&mut self, now: Instant) {
        for path in self.in_progress.due(now) {
            let signature = FileSignature::of_path(&path).ok().filter(FileSignature::has_content);
            if let Some(signature) = signature {
                if self.in_progress.check(&path, signature, now) {
                    self.add_waited_for(path, Some(signature), now);
                }
            } else {
                self.in_progress.remove(&path);
                self.debouncer.push(RawEvent::new(path, RawEventKind::Removed), now);
            }
        }
    }

    /// Adds every file that is still being written to the burst, because everything will be compared.
    pub(super) fn stop_waiting_for_all(&mut self, now: Instant) {
        for path in self.in_progress.remove_all() {
            self.add_waited_for(path, None, now);
        }
    }

    /// Adds a file that is to be reported even if a program still writes to it.
    fn add_waited_for(&mut self, path: PathBuf, signature: Option<FileSignature>, now: Instant) {
        self.state.record(&path, signature);
        self.state.set_waited_for(&path);
        self.debouncer.push(RawEvent::new(path, RawEventKind::Written), now);
    }

    /// Removes the paths from the burst that do not count any more, because the rules have changed.
    pub(super) fn withdraw_ignored(&mut self, sync: &SnapshotSync) {
        let ignored: Vec<PathBuf> = {
            let snapshot = sync.snapshot();
            let is_ignored = |path: &&Path| snapshot.file(path).is_none() && !sync.filter.counts_file(path);
            self.debouncer.paths().filter(is_ignored).map(Path::to_owned).collect()
        };
        for path in &ignored {
            self.debouncer.withdraw(path);
        }
    }

    /// Compares a burst that has ended with the snapshot.
    pub(super) fn compare(&mut self, burst: Burst, sync: &SnapshotSync, now: Instant) -> BurstResult {
        let result = diff(&mut sync.snapshot(), &sync.filter, &burst, &self.state, self.options, now);
        match result {
            DiffResult::Extended { in_progress, until } => {
                tracing::debug!(files = ?in_progress, "files still being written: burst extended");
                for (path, signature) in in_progress {
                    self.state.record(&path, Some(signature));
                }
                self.debouncer.extend(burst, until);
                BurstResult::Extended
            }
            DiffResult::Compared { batch, in_progress } => {
                self.debouncer.finish(burst);
                for (path, signature) in in_progress {
                    tracing::debug!(?path, "file still being written: left out of the burst");
                    self.in_progress.add(path, signature, now);
                }
                batch.map_or(BurstResult::NoChange, BurstResult::Changed)
            }
        }
    }

    /// Remembers the changed files of a batch, so that scans recognize a file that a program goes on writing.
    pub(super) fn remember(&mut self, batch: &Batch, sync: &SnapshotSync, now: Instant) {
        if batch.changes.len() > MAX_FOLLOWED {
            return;
        }
        let snapshot = sync.snapshot();
        for Change { path, .. } in &batch.changes {
            if let Some(file) = snapshot.file(path) {
                let was_pending = self.state.was_waited_for(path);
                self.in_progress.add_reported(path, file.signature, was_pending, now);
            }
        }
    }

    /// Forgets the facts about the paths, because the burst is over.
    pub(super) fn clear(&mut self) {
        self.state.clear();
    }
}
