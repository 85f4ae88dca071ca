//! Sorts events and scan results: into the burst, into the edits of rule files, or away.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::sync;
use crate::watch::{
    fs::{FileKind, FileSignature, paths::split},
    queue::{RawEvent, RawEventKind},
    snapshot::{ScanDiff, SyncMode},
    summary::Shared,
};

use super::burst::BurstTracker;
use super::rule_files::RuleEdit;
use super::tree::{RootCheck, WatchedTree};

/// Delay before the summary is published after directories have come or gone, because thousands may follow.
const PUBLISH_DELAY: Duration = Duration::from_millis(20);
/// Number of paths in a burst from which a closed file is examined only at the end of the burst. Examining
/// each twice would cost as much as comparing it.
const MANY_PATHS: usize = 256;

/// The watched tree, and the changes in it that wait.
#[derive(Debug)]
pub(super) struct ChangeTracker {
    pub(super) tree: WatchedTree,
    pub(super) burst: BurstTracker,
    shared: Arc<Shared>,
    /// When the summary is to be published, because directories or watches have come or gone.
    pub(super) publish_at: Option<Instant>,
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
    pub(super) fn new(tree: WatchedTree, burst: BurstTracker, shared: Arc<Shared>) -> Self {
        Self { tree, burst, shared, publish_at: None }
    }

    fn count_event(&self, path: &Path) {
        sync::lock(&self.shared.event_counts).add(path);
    }

    /// Takes an event of the source.
    pub(super) fn handle_event(&mut self, event: RawEvent, at: Instant) {
        self.count_event(&event.path);
        tracing::trace!(path = ?event.path, kind = ?event.kind, "fs event");
        let is_done = self.handle_root_event(&event.path, at) || self.handle_rule_file_event(&event.path, at);
        if !is_done {
            self.handle_tree_event(event, at);
        }
    }

    /// Takes an event for a root, or a path above one. Returns whether the event needs nothing more.
    fn handle_root_event(&mut self, path: &Path, at: Instant) -> bool {
        let check = self.tree.check_root_path(path);
        let has_changed = check.has_changed;
        self.take_root_check(check, at);
        if !has_changed {
            return false;
        }
        // The path may also belong to the tree of another root.
        let snapshot = self.tree.sync.snapshot();
        let parent = path.parent().and_then(|parent| snapshot.dir(parent));
        parent.is_none_or(|dir| dir.has_root_files_only())
    }

    /// Takes an event for a rule file, or a directory above one. Returns whether the event needs nothing
    /// more.
    fn handle_rule_file_event(&mut self, path: &Path, at: Instant) -> bool {
        let is_outside = self.tree.rule_files.is_outside(path);
        if is_outside {
            self.tree.rule_files.update_outside(path);
        } else if self.tree.rule_files.has_outside_below(path) {
            // Rule files may have come or gone with this directory.
            let events = self.tree.update_anchors();
            self.accept(events, Instant::now());
        }
        let is_rule_file = is_outside || self.tree.sync.filter.is_rule_file(path);
        if is_rule_file {
            self.tree.rule_files.add_edit(path.to_owned(), at);
        }
        is_rule_file
    }

    /// Takes an event for a path in the tree that is no rule file.
    fn handle_tree_event(&mut self, event: RawEvent, at: Instant) {
        if self.burst.debouncer.needs_rescan() {
            // The rescan will compare this path too.
            return self.burst.debouncer.require_rescan(at);
        }
        self.burst.in_progress.remove(&event.path);
        let Some(known) = self.known_path(&event.path) else { return };
        let is_closed_file = event.kind == RawEventKind::Closed && known.is_file && !known.is_dir;
        if is_closed_file && self.burst.debouncer.len() >= MANY_PATHS {
            tracing::debug!(path = ?event.path, "file waits for the end of a large burst");
            return self.burst.add_unexamined(event, at);
        }
        let found = FileSignature::of_path(&event.path).ok();
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
            self.burst.debouncer.push(removed, at);
        }
        // The rules may have been read before the directory existed.
        self.tree.sync.filter.rules.forget(path);
        let counts = !known.is_beside_root && self.tree.sync.filter.counts_dir(path);
        tracing::debug!(?path, counts, "directory created or changed");
        if counts {
            let events = self.tree.sync.sync(path, SyncMode::Rewatch);
            self.accept(events, at);
            self.publish_soon();
        }
    }

    /// Schedules the summary, because directories have come or gone, and more may follow at once.
    fn publish_soon(&mut self) {
        self.publish_at.get_or_insert_with(|| Instant::now() + PUBLISH_DELAY);
    }

    /// A file exists at the path.
    fn handle_file(&mut self, event: RawEvent, known: KnownPath, found: FileSignature, at: Instant) {
        let filter = &self.tree.sync.filter;
        if !known.is_file && !filter.counts_file(&event.path) {
            filter.stats.add_event_ignored();
            tracing::debug!(path = ?event.path, why = filter.why_not(&event.path), "no change");
            return;
        }
        // Symbolic and hard links are complete as soon as they exist.
        let is_open =
            event.kind == RawEventKind::Created && found.kind == FileKind::File && !found.has_other_names;
        let kind = if is_open { RawEventKind::Created } else { RawEventKind::Written };
        tracing::debug!(path = ?event.path, ?kind, "file waits for the end of the burst");
        self.burst.add(RawEvent::new(event.path, kind), Some(found), at);
    }

    /// Nothing with content exists at the path.
    fn handle_missing(&mut self, event: RawEvent, known: KnownPath, at: Instant) {
        if known.is_file {
            tracing::debug!(path = ?event.path, "file removed: waits for the end of the burst");
            self.burst.add(RawEvent::new(event.path, RawEventKind::Removed), None, at);
        } else {
            self.ignore(&event.path, "created and removed, or no file");
            self.burst.debouncer.withdraw(&event.path);
        }
    }

    fn ignore(&self, path: &Path, why: &str) {
        self.tree.sync.filter.stats.add_event_ignored();
        tracing::debug!(?path, why, "no change");
    }

    /// Adds differences from the snapshot to the burst, and rule files to the edits.
    pub(super) fn accept(&mut self, events: Vec<RawEvent>, at: Instant) {
        for event in events {
            if self.tree.sync.filter.is_rule_file(&event.path) {
                self.tree.rule_files.add_edit(event.path, at);
            } else {
                self.burst.debouncer.push(event, at);
            }
        }
    }

    /// Takes the result of a check of the roots.
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
                    self.add_scanned(RawEvent::new(path, RawEventKind::Written), Some(signature), now);
                }
                ScanDiff::MissingFile(path) => {
                    self.add_scanned(RawEvent::new(path, RawEventKind::Removed), None, now);
                }
                ScanDiff::Dir(path) => {
                    self.publish_at = Some(now);
                    has_root_file |= self.tree.has_root_files_only(&path);
                    for event in self.tree.sync_dir(&path) {
                        let signature = FileSignature::of_path(&event.path).ok();
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

    fn add_scanned(&mut self, event: RawEvent, signature: Option<FileSignature>, now: Instant) {
        if self.tree.sync.filter.is_rule_file(&event.path) {
            self.tree.rule_files.add_edit(event.path, now);
            return;
        }
        self.count_event(&event.path);
        self.burst.add_scanned(event, signature, now);
    }

    /// Forgets the burst, because it was compared. Checks the roots that it may have emptied.
    pub(super) fn finish_burst(&mut self, now: Instant) {
        self.burst.clear();
        let check = self.tree.check_emptied_roots();
        self.take_root_check(check, now);
    }

    /// Makes edited rules take effect.
    pub(super) fn apply_rules(&mut self, edit: &RuleEdit, now: Instant) {
        let pending: HashSet<_> = self.burst.pending_paths().collect();
        let events = self.tree.apply_rules(edit, pending, now);
        self.accept(events, edit.last);
        self.burst.withdraw_ignored(&self.tree.sync);
        let events = self.tree.update_anchors();
        self.accept(events, Instant::now());
    }

    /// Compares everything with the disk, because events were lost.
    pub(super) fn rescan(&mut self, now: Instant) {
        self.burst.stop_waiting_for_all(now);
        let events = self.tree.rescan();
        self.accept(events, now);
    }
}
