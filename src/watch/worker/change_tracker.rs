//! The watched tree, and the changes in it that wait: sorts events and scan results into the burst, into the
//! edits of rule files, or away, and compares the burst when it has ended.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::tree::{RootCheck, WatchedTree};
use super::{poller::ScanDiff, rule_files::RuleEdit};
use crate::change::{Batch, Change};
use crate::sync;
use crate::watch::debounce::{Burst, Debouncer, InProgressWrites};
use crate::watch::fs::{FileKind, FileSignature, TOO_LONG, split};
use crate::watch::queue::{RawEvent, RawEventKind};
use crate::watch::snapshot::{BurstState, CompareOptions, DiffResult, SyncMode, diff};
use crate::watch::{options::Options, stats::Shared};

/// Delay before the summary is published after directories have come or gone, because thousands may follow.
const PUBLISH_DELAY: Duration = Duration::from_millis(20);
/// Number of paths in a burst from which a closed file is examined only at the end of the burst. Examining
/// each twice would cost as much as comparing it.
const MANY_PATHS: usize = 256;
/// Maximum number of changes in a burst whose files are followed if they grow.
const MAX_FOLLOWED: usize = 64;

/// The watched tree, the current burst with facts about its paths, and the files that are still being written.
#[derive(Debug)]
pub(super) struct ChangeTracker {
    pub(super) tree: WatchedTree,
    pub(super) debouncer: Debouncer,
    in_progress: InProgressWrites,
    /// Facts about the paths of the burst that the debouncer does not need.
    state: BurstState,
    pub(super) compare_options: CompareOptions,
    shared: Arc<Shared>,
    /// When the summary is to be published, because directories or watches have come or gone.
    pub(super) publish_at: Option<Instant>,
}

#[derive(Debug)]
pub(super) enum BurstResult {
    /// The burst goes on, because files are still being written.
    Extended,
    NoChange,
    Changed(Batch),
}

/// What the snapshot has at the path of an event.
#[derive(Debug, Clone, Copy)]
struct KnownPath {
    is_dir: bool,
    is_file: bool,
    /// The parent has only files that are roots.
    is_beside_root: bool,
}

impl ChangeTracker {
    pub(super) fn new(options: &Options, tree: WatchedTree, shared: Arc<Shared>) -> Self {
        Self {
            tree,
            debouncer: Debouncer::new(options.debounce),
            in_progress: InProgressWrites::default(),
            state: BurstState::default(),
            compare_options: CompareOptions { how: options.compare, content_limit: options.content_limit },
            shared,
            publish_at: None,
        }
    }

    /// The time of the next task other than the end of the burst.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let all = [self.in_progress.deadline(), self.tree.rule_files.deadline(), self.publish_at];
        all.into_iter().flatten().min()
    }

    /// Number of paths in the burst with a recorded signature.
    pub(super) fn recorded(&self) -> usize {
        self.state.signatures.len()
    }

    /// Whether a path in the burst is a root and a symbolic link.
    pub(super) fn has_root_link(&self) -> bool {
        self.debouncer.paths().any(|path| self.tree.is_root_link(path))
    }

    fn signature(&self, path: &Path) -> Option<FileSignature> {
        FileSignature::of_path_with(path, self.tree.sync.filter.links(path)).ok()
    }

    fn count_event(&self, path: &Path) {
        sync::lock(&self.shared.event_counts).add(path);
    }

    pub(super) fn handle_event(&mut self, event: RawEvent, at: Instant) {
        self.count_event(&event.path);
        tracing::trace!(path = ?event.path, kind = ?event.kind, "fs event");
        let is_done = self.handle_root_event(&event, at) || self.handle_rule_file_event(&event.path, at);
        if !is_done {
            self.handle_tree_event(event, at);
        }
    }

    /// Takes an event for a root, or a path above one. Returns whether the event needs nothing more.
    fn handle_root_event(&mut self, event: &RawEvent, at: Instant) -> bool {
        let check = self.tree.check_root_event(event);
        let has_changed = check.has_changed;
        self.take_root_check(check, at);
        if !has_changed {
            return false;
        }
        // The path may also be another root, or belong to the tree of one.
        let snapshot = self.tree.sync.snapshot();
        let parent = event.path.parent().and_then(|parent| snapshot.dir(parent));
        parent.is_none_or(|dir| dir.has_root_files_only() && !self.tree.sync.filter.is_always(&event.path))
    }

    /// Takes an event for a rule file, or a path above one. Returns whether the event needs nothing more.
    fn handle_rule_file_event(&mut self, path: &Path, at: Instant) -> bool {
        let is_outside = self.tree.rule_files.update_if_outside(path);
        if !is_outside && self.tree.rule_files.has_outside_below(path) {
            // Rule files may have come or gone with this directory.
            let events = self.tree.update_anchors();
            self.accept(events, Instant::now());
        }
        let is_rule_file = is_outside || self.tree.sync.filter.rules.is_rule_file(path);
        if is_rule_file {
            self.tree.rule_files.add_edit(path.to_owned(), at);
        }
        is_rule_file
    }

    /// Takes an event for a path in the tree that is no rule file.
    fn handle_tree_event(&mut self, event: RawEvent, at: Instant) {
        if self.debouncer.needs_rescan() {
            // The rescan will compare this path too.
            return self.debouncer.require_rescan(at);
        }
        self.in_progress.remove(&event.path);
        let Some(known) = self.known_path(&event.path) else { return };
        let is_closed_file = event.kind == RawEventKind::Closed && known.is_file && !known.is_dir;
        if is_closed_file && self.debouncer.len() >= MANY_PATHS {
            tracing::debug!(path = ?event.path, "file waits for the end of a large burst");
            self.state.signatures.remove(event.path.as_os_str());
            return self.push(event, at);
        }
        if event.path.as_os_str().len() >= TOO_LONG {
            self.tree.sync.dir_of_long_path = event.path.parent().map(Path::to_owned);
            return self.publish_soon();
        }
        let found = match FileSignature::of_path_with(&event.path, self.tree.sync.filter.links(&event.path)) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.tree.sync.mark_unreadable_above(&event.path);
                return self.publish_soon();
            }
            found => found.ok(),
        };
        if found.is_some_and(|found| found.kind == FileKind::Dir) {
            return self.handle_dir(&event.path, known, at);
        }
        if known.is_dir {
            let events = self.tree.sync.mark_missing_below(&event.path);
            self.accept(events, at);
            self.publish_soon();
        }
        match found {
            Some(found) if found.has_content() => self.handle_file(event, known, found, at),
            _ => self.handle_missing(event, known, at),
        }
    }

    /// Looks the path of an event up in the snapshot. Returns `None` if the event is to be ignored.
    fn known_path(&self, path: &Path) -> Option<KnownPath> {
        let (parent, name) = split(path)?;
        let sync = &self.tree.sync;
        let known = {
            let snapshot = sync.snapshot();
            snapshot.dir(parent).map(|dir| KnownPath {
                is_dir: snapshot.dir(path).is_some(),
                is_file: dir.file(name).is_some(),
                is_beside_root: dir.has_root_files_only(),
            })
        };
        let Some(known) = known else {
            self.ignore(path, "directory not watched");
            return None;
        };
        if known.is_beside_root && !sync.filter.is_always(path) {
            self.ignore(path, "only a root in this directory is watched");
            return None;
        }
        Some(known)
    }

    /// A directory was created, moved or changed.
    fn handle_dir(&mut self, path: &Path, known: KnownPath, at: Instant) {
        if known.is_file {
            let removed = RawEvent::new(path.to_owned(), RawEventKind::Removed);
            self.push(removed, at);
        }
        // The rules may have been read before the directory existed.
        self.tree.sync.filter.rules.forget(path);
        let counts = !known.is_beside_root && self.tree.sync.filter.counts_dir(path);
        tracing::debug!(?path, counts, "directory created or changed");
        if counts {
            if !known.is_dir {
                self.debouncer.add_new_dir(at);
            }
            let events = self.tree.sync.sync(path, SyncMode::Rewatch);
            self.accept(events, at);
            self.publish_soon();
        }
    }

    /// Watches the permissions of unreadable directories, and reads those that can be read now.
    pub(super) fn read_opened_dirs(&mut self) {
        self.tree.sync.watch_unreadable();
        for path in self.tree.sync.readable_again() {
            let events = self.tree.sync.sync(&path, SyncMode::Rewatch);
            self.accept(events, Instant::now());
        }
    }

    /// Schedules the summary, because directories have come or gone, and more may follow at once.
    fn publish_soon(&mut self) {
        self.publish_at.get_or_insert_with(|| Instant::now() + PUBLISH_DELAY);
    }

    fn handle_file(&mut self, event: RawEvent, known: KnownPath, found: FileSignature, at: Instant) {
        let filter = &self.tree.sync.filter;
        if !known.is_file && !filter.counts_file(&event.path) {
            filter.stats.add_event_ignored();
            tracing::debug!(path = ?event.path, why = filter.why_not(&event.path), "no change");
            return;
        }
        // Symbolic and hard links are complete as soon as they exist.
        let is_open = event.kind == RawEventKind::Created
            && found.kind == FileKind::File
            && !found.has_other_names
            && !self.tree.is_root_link(&event.path);
        let kind = if is_open { RawEventKind::Created } else { RawEventKind::Written };
        tracing::debug!(path = ?event.path, ?kind, "file waits for the end of the burst");
        self.add(RawEvent::new(event.path, kind), Some(found), at);
    }

    /// Nothing with content exists at the path.
    fn handle_missing(&mut self, event: RawEvent, known: KnownPath, at: Instant) {
        if known.is_file {
            tracing::debug!(path = ?event.path, "file removed: waits for the end of the burst");
            self.add(RawEvent::new(event.path, RawEventKind::Removed), None, at);
        } else {
            self.ignore(&event.path, "created and removed, or no file");
            self.debouncer.withdraw(&event.path);
        }
    }

    fn ignore(&self, path: &Path, why: &str) {
        self.tree.sync.filter.stats.add_event_ignored();
        tracing::debug!(?path, why, "no change");
    }

    /// Adds differences from the snapshot to the burst, and rule files to the edits.
    pub(super) fn accept(&mut self, events: Vec<RawEvent>, at: Instant) {
        for event in events {
            if self.tree.sync.filter.rules.is_rule_file(&event.path) {
                self.tree.rule_files.add_edit(event.path, at);
            } else {
                self.push(event, at);
            }
        }
    }

    pub(super) fn take_root_check(&mut self, check: RootCheck, at: Instant) {
        self.accept(check.events, at);
        if check.needs_anchors {
            self.publish_at = Some(at);
        }
    }

    /// Adds the differences that a scan has found to the burst.
    pub(super) fn take_scan(&mut self, diffs: Vec<ScanDiff>, now: Instant) {
        let mut has_root_file = false;
        for diff in diffs {
            match diff {
                ScanDiff::File(path, signature) => {
                    self.add_scanned(RawEvent::new(path, RawEventKind::Written), signature, now);
                }
                ScanDiff::Dir(path) => {
                    self.publish_at = Some(now);
                    has_root_file |= self.tree.sync.snapshot().has_root_files_only(&path);
                    for event in self.tree.sync_dir(&path) {
                        if event.kind != RawEventKind::Removed && event.path.parent() != Some(&path) {
                            // The scan has entered a new directory.
                            self.debouncer.add_new_dir(now);
                        }
                        let signature = self.signature(&event.path);
                        self.add_scanned(event, signature, now);
                    }
                }
            }
        }
        if has_root_file {
            // A root that was a file may be a directory now, whose files the next generation would see.
            let check = self.tree.check_moved_roots();
            self.accept(check.events, Instant::now());
        }
    }

    /// Adds a difference found by a scan. A repeated one does not prolong the burst.
    fn add_scanned(&mut self, event: RawEvent, signature: Option<FileSignature>, now: Instant) {
        let RawEvent { path, kind } = event;
        if self.tree.sync.filter.rules.is_rule_file(&path) {
            return self.tree.rule_files.add_edit(path, now);
        }
        self.count_event(&path);
        if let Some(signature) = signature
            && (self.in_progress.contains(&path)
                || self.in_progress.growth_streak(&path, &signature, now) > 0)
        {
            self.in_progress.add(path, signature, now);
            return;
        }
        if self.state.record(&path, signature) {
            let kind = if signature.is_none() { RawEventKind::Removed } else { kind };
            self.push(RawEvent::new(path, kind), now);
        }
    }

    /// Adds an event to the burst.
    fn push(&mut self, event: RawEvent, at: Instant) {
        let is_new =
            event.kind != RawEventKind::Removed && self.tree.sync.snapshot().file(&event.path).is_none();
        if is_new {
            self.debouncer.push_new(event, at);
        } else {
            self.debouncer.push(event, at);
        }
    }

    /// Adds an event, with the signature that the path has now.
    fn add(&mut self, event: RawEvent, signature: Option<FileSignature>, at: Instant) {
        self.state.record(&event.path, signature);
        self.push(event, at);
    }

    /// Checks the files that are still being written.
    pub(super) fn check_in_progress(&mut self, now: Instant) {
        for path in self.in_progress.due(now) {
            let signature = self.signature(&path).filter(FileSignature::has_content);
            if let Some(signature) = signature {
                if self.in_progress.check(&path, signature, now) {
                    self.add_waited_for(path, Some(signature), now);
                }
            } else {
                self.in_progress.remove(&path);
                self.push(RawEvent::new(path, RawEventKind::Removed), now);
            }
        }
    }

    /// Adds the files that are still being written to the burst, as they are.
    pub(super) fn take_in_progress(&mut self, now: Instant) {
        for path in self.in_progress.remove_all() {
            self.add_waited_for(path, None, now);
        }
    }

    /// Adds a file that is to be reported even if a program still writes to it.
    fn add_waited_for(&mut self, path: PathBuf, signature: Option<FileSignature>, now: Instant) {
        self.state.record(&path, signature);
        self.state.waited_for.insert(path.clone().into());
        self.push(RawEvent::new(path, RawEventKind::Written), now);
    }

    /// Compares a burst that has ended with the snapshot.
    pub(super) fn compare(&mut self, burst: Burst, now: Instant) -> BurstResult {
        let sync = &self.tree.sync;
        let result = diff(&mut sync.snapshot(), &sync.filter, &burst, &self.state, self.compare_options, now);
        match result {
            DiffResult::Extended { in_progress, until } => {
                tracing::debug!(files = ?in_progress, "files still being written: burst extended");
                for (path, signature) in in_progress {
                    self.state.record(&path, Some(signature));
                }
                self.debouncer.extend(burst, now, until);
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
    pub(super) fn remember(&mut self, batch: &Batch, now: Instant) {
        if batch.changes.len() > MAX_FOLLOWED {
            return;
        }
        let snapshot = self.tree.sync.snapshot();
        for Change { path, .. } in &batch.changes {
            if let Some(file) = snapshot.file(path) {
                let was_pending = self.state.waited_for.contains(path.as_os_str());
                self.in_progress.add_reported(path, file.signature, was_pending, now);
            }
        }
    }

    /// Forgets the burst, because it was compared. Checks the roots that it may have emptied.
    pub(super) fn finish_burst(&mut self, now: Instant) {
        self.state = BurstState::default();
        let check = self.tree.check_emptied_roots();
        self.take_root_check(check, now);
    }

    /// Makes edited rules take effect.
    pub(super) fn apply_rules(&mut self, edit: &RuleEdit, now: Instant) {
        let burst = self.debouncer.paths().map(Path::to_owned);
        let pending: HashSet<_> = burst.chain(self.in_progress.paths().cloned()).collect();
        let events = self.tree.apply_rules(edit, pending, now);
        self.accept(events, edit.last);
        self.withdraw_ignored();
        let events = self.tree.update_anchors();
        self.accept(events, Instant::now());
    }

    /// Removes the paths from the burst that do not count any more, because the rules have changed.
    fn withdraw_ignored(&mut self) {
        let ignored: Vec<PathBuf> = {
            let (snapshot, filter) = (self.tree.sync.snapshot(), &self.tree.sync.filter);
            let is_ignored = |path: &&Path| snapshot.file(path).is_none() && !filter.counts_file(path);
            self.debouncer.paths().filter(is_ignored).map(Path::to_owned).collect()
        };
        for path in &ignored {
            self.debouncer.withdraw(path);
        }
    }

    /// Compares everything with the disk, because events were lost.
    pub(super) fn rescan(&mut self, now: Instant) {
        self.take_in_progress(now);
        let events = self.tree.rescan();
        self.accept(events, now);
    }
}
