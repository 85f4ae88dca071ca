//! The watched tree: the snapshot, its roots, and the rule files that decide what belongs to it.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use crate::watch::queue::RawEvent;
use crate::watch::snapshot::{SnapshotSync, SyncMode};

use super::root_set::{RootCheck, RootSet};
use super::rule_files::{RuleEdit, RuleFiles};

/// Maximum number of passes over roots that look different each time. Some file systems number their
/// directories anew with each access.
const MAX_ROOT_PASSES: usize = 8;

/// Keeps the snapshot, the roots and the rule files in line with the disk.
#[derive(Debug)]
pub(super) struct WatchedTree {
    sync: SnapshotSync,
    roots: RootSet,
    rule_files: RuleFiles,
}

impl WatchedTree {
    pub(super) fn new(sync: SnapshotSync, roots: RootSet, rule_files: RuleFiles) -> Self {
        Self { sync, roots, rule_files }
    }

    /// The snapshot with its watches.
    pub(super) fn sync(&self) -> &SnapshotSync {
        &self.sync
    }

    /// The snapshot with its watches, to compare a part of it with the disk.
    pub(super) fn sync_mut(&mut self) -> &mut SnapshotSync {
        &mut self.sync
    }

    /// The roots.
    pub(super) fn roots(&self) -> &RootSet {
        &self.roots
    }

    /// The rule files.
    pub(super) fn rule_files(&self) -> &RuleFiles {
        &self.rule_files
    }

    /// The rule files, to change them.
    pub(super) fn rule_files_mut(&mut self) -> &mut RuleFiles {
        &mut self.rule_files
    }

    /// Closes the event source.
    pub(super) fn close(self) {
        self.sync.close();
    }

    /// Walks every root for the first time. Returns the changes that happened meanwhile.
    pub(super) fn walk_first(&mut self) -> Vec<RawEvent> {
        let walks: Vec<_> = (0..self.roots.len()).map(|index| self.walk_root_first(index)).collect();
        let mut events = self.update_anchors();
        let mut walked_again = false;
        for (index, (begun, edits)) in walks.into_iter().enumerate() {
            if edits.is_empty() && !self.rule_files.may_have_missed_write(begun) {
                continue;
            }
            // Rules may have been read before the last write to their file. Now the watches are in place.
            for dir in edits.iter().filter_map(|event| event.path.parent()) {
                self.sync.forget_rules(dir);
            }
            self.sync.forget_rules(self.roots.path(index));
            if !self.sync.has_events() {
                // No event reports a further write within the same timer tick, so that tick must pass.
                std::thread::sleep(3 * super::startup::TIMER_TICK);
            }
            self.roots.enter(index, SyncMode::Initial, &mut self.sync);
            walked_again = true;
        }
        if walked_again {
            events.extend(self.update_anchors());
        }
        events
    }

    /// Walks a root for the first time. Returns when the walk began, and which rule files may have changed
    /// since.
    fn walk_root_first(&mut self, index: usize) -> (SystemTime, Vec<RawEvent>) {
        self.sync.add_repository_of(self.roots.path(index));
        let begun = SystemTime::now();
        (begun, self.roots.enter(index, SyncMode::Initial, &mut self.sync))
    }

    /// Watches the directories outside the trees that report roots and rule files. Returns the changes found.
    ///
    /// No event reports what happens before these watches are placed. So the roots and files are examined
    /// again until nothing changes any more.
    pub(super) fn update_anchors(&mut self) -> Vec<RawEvent> {
        let mut events = Vec::new();
        let mut placed: Option<BTreeSet<PathBuf>> = None;
        for pass in 0.. {
            let outside = self.rule_files.find_outside(&self.sync, &self.roots);
            let mut wanted = self.rule_files.homes_of(&outside);
            wanted.extend(self.roots.anchors());
            self.rule_files.set_outside(outside);
            let wanted = self.sync.set_anchors(wanted);
            if pass < MAX_ROOT_PASSES {
                let check = self.roots.check_moved(&mut self.sync);
                events.extend(check.events);
                if check.has_changed {
                    placed = Some(wanted);
                    continue;
                }
            }
            if placed.as_ref() == Some(&wanted) {
                break;
            }
            placed = Some(wanted);
        }
        events
    }

    /// Takes an event for a path that may be a root, or lie above one.
    pub(super) fn check_root_path(&mut self, path: &Path) -> RootCheck {
        let check = self.roots.check_path(path, &mut self.sync);
        self.with_anchors(check)
    }

    /// Examines the roots, where no event reports their changes.
    pub(super) fn check_moved_roots(&mut self) -> RootCheck {
        let check = self.roots.check_moved(&mut self.sync);
        self.with_anchors(check)
    }

    /// Examines the roots that have just lost their last entry.
    pub(super) fn check_emptied_roots(&mut self) -> RootCheck {
        let check = self.roots.check_emptied(&mut self.sync);
        self.with_anchors(check)
    }

    fn with_anchors(&mut self, mut check: RootCheck) -> RootCheck {
        if check.needs_anchors {
            check.events.extend(self.update_anchors());
        }
        check
    }

    /// Compares the entries of one directory with the disk.
    pub(super) fn sync_dir(&mut self, path: &Path) -> Vec<RawEvent> {
        if self.has_root_files_only(path) {
            self.roots.sync_root_files(path, SyncMode::Rescan, &mut self.sync)
        } else {
            self.sync.sync_one(path)
        }
    }

    /// Whether only files in the directory that are roots matter.
    pub(super) fn has_root_files_only(&self, dir: &Path) -> bool {
        self.sync.snapshot().dir(dir).is_some_and(|dir| dir.has_root_files_only())
    }

    /// Watches with a new instance, and compares everything with the disk.
    pub(super) fn rescan(&mut self) -> Vec<RawEvent> {
        self.sync.renew_watches();
        let mut events = self.roots.enter_all_again(&mut self.sync);
        events.extend(self.update_anchors());
        events
    }

    /// Takes the edits of rule files that are to take effect now.
    pub(super) fn take_due_edit(&mut self, now: Instant) -> Option<RuleEdit> {
        self.rule_files.take_due_edit(now, &self.sync)
    }

    /// Makes edited rules take effect. `pending` are the paths that wait to be compared. Returns what
    /// differs.
    ///
    /// First everything is compared under the old rules. That separates a new file from a file that was
    /// ignored until now: only the latter enters the snapshot without an event.
    pub(super) fn apply_rules(
        &mut self,
        edit: &RuleEdit,
        mut pending: HashSet<PathBuf>,
        now: Instant,
    ) -> Vec<RawEvent> {
        let dirs = self.rule_files.affected_dirs(edit, &self.sync, &self.roots);
        let root_files = self.roots.known_files(&self.sync);
        let begun = SystemTime::now();
        let is_other_file = |event: &RawEvent| !edit.files().contains(&event.path);
        let mut events = Vec::new();
        for dir in &dirs {
            events.extend(self.sync.sync(dir, SyncMode::Rescan).into_iter().filter(is_other_file));
        }
        for dir in edit.files().iter().filter_map(|file| file.parent()) {
            self.sync.forget_rules(dir);
        }
        dirs.iter().for_each(|dir| self.sync.forget_rules(dir));
        let unchanged_since = edit.unchanged_since(&self.sync, now, begun);
        pending.extend(events.iter().map(|event| event.path.clone()));
        let mode = SyncMode::NewRules { unchanged_since, pending: &pending };
        for dir in &dirs {
            events.extend(self.sync.sync(dir, mode).into_iter().filter(is_other_file));
        }
        events.extend(self.roots.restore_files(root_files, &mut self.sync));
        events
    }
}
