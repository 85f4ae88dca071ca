//! The watched tree: the snapshot, its roots, and the rule files that decide what belongs to it.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::root::{Root, RootKind};
use super::rule_files::{RuleEdit, RuleFiles};
use crate::watch::fs::{FileSignature, Links, starts_with};
use crate::watch::options::Compare;
use crate::watch::queue::{RawEvent, RawEventKind};
use crate::watch::snapshot::{
    CompareOptions, Comparison, FileComparer, SnapshotFile, SnapshotSync, SyncMode,
};

/// Maximum number of passes over the roots. Some file systems number directories anew with each access.
const MAX_ROOT_PASSES: usize = 8;
/// Length of a timer tick, by which kernels before 6.13 time writes.
const TIMER_TICK: Duration = Duration::from_millis(10);
/// Maximum number of just written files that are read after the first walk, instead of waiting.
const MAX_FILES_TO_READ: usize = 500;

/// Keeps the snapshot, the roots and the rule files in line with the disk.
#[derive(Debug)]
pub(super) struct WatchedTree {
    pub(super) sync: SnapshotSync,
    pub(super) rule_files: RuleFiles,
    pub(super) roots: Vec<Root>,
}

/// The result of checking the roots.
#[derive(Debug, Default)]
pub(super) struct RootCheck {
    /// What differs from the snapshot.
    pub events: Vec<RawEvent>,
    /// A root was entered or left.
    pub has_changed: bool,
    /// The anchors, which are the watched directories outside the trees, are to be chosen again.
    pub needs_anchors: bool,
}

/// What the snapshot has of the directory in which a root lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HomeExtent {
    Unknown,
    Whole,
    RootFiles { is_missing: bool },
}

impl WatchedTree {
    /// Walks every root for the first time. Returns the changes that happened meanwhile.
    pub(super) fn walk_first(&mut self) -> Vec<RawEvent> {
        let mut walks = Vec::new();
        for index in 0..self.roots.len() {
            self.sync.git.add_repository_of(&self.roots[index].path);
            let begun = SystemTime::now();
            walks.push((begun, self.enter(index, SyncMode::Initial)));
        }
        let mut events = self.update_anchors();
        let mut walked_again = false;
        for (index, (begun, edits)) in walks.into_iter().enumerate() {
            if edits.is_empty() && !self.rule_files.may_have_missed_write(begun) {
                continue;
            }
            // Rules may have been read before the last write to their file. Now the watches are in place.
            for dir in edits.iter().filter_map(|event| event.path.parent()) {
                self.sync.filter.rules.forget(dir);
            }
            self.sync.filter.rules.forget(&self.roots[index].path);
            if !self.sync.watches.has_events() {
                // No event reports a further write within the same timer tick, so that tick must pass.
                std::thread::sleep(3 * TIMER_TICK);
            }
            self.enter(index, SyncMode::Initial);
            walked_again = true;
        }
        if walked_again {
            events.extend(self.update_anchors());
        }
        events
    }

    /// Makes the signatures of files reliable that were written just before the first walk. A later write
    /// within the same timer tick would leave the same signature.
    pub(super) fn settle_racy_files(&self, mut options: CompareOptions) {
        let mut racy = Vec::new();
        for dir in self.sync.snapshot().dirs() {
            racy.extend(dir.files.iter().filter(|file| file.is_racy).map(|file| dir.path.join(&*file.name)));
        }
        if racy.len() > MAX_FILES_TO_READ {
            // After the tick, a signature is reliable without the content.
            std::thread::sleep(2 * TIMER_TICK);
            options.how = Compare::Stat;
        }
        let mut comparer = FileComparer::new(options);
        for path in racy {
            if let Comparison::Changed(settled) =
                comparer.compare(&path, None, false, self.sync.filter.links(&path))
                && let Some(file) = self.sync.snapshot().file_mut(&path)
            {
                *file = settled;
            }
        }
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
            wanted.extend(self.roots.iter_mut().flat_map(Root::anchors));
            self.rule_files.set_outside(outside);
            let wanted = self.sync.set_anchors(wanted);
            if pass < MAX_ROOT_PASSES {
                let check = self.enter_moved_roots();
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
        let linked = self.changed_linked_files().into_iter();
        events.extend(linked.map(|(path, _)| RawEvent::new(path, RawEventKind::Written)));
        events
    }

    /// The roots that are links to files, and differ from the snapshot, with their signatures.
    pub(super) fn changed_linked_files(&self) -> Vec<(PathBuf, Option<FileSignature>)> {
        let snapshot = self.sync.snapshot();
        let linked = self.roots.iter().filter(|root| root.kind == RootKind::File && root.is_link());
        let found = linked.map(|root| (&root.path, FileSignature::of_path_with(&root.path, Links::Follow)));
        let found = found.map(|(path, found)| (path, found.ok().filter(FileSignature::has_content)));
        let differs = |path: &Path, found: &Option<FileSignature>| match (snapshot.file(path), found) {
            (Some(known), Some(found)) => !known.is_unchanged(found),
            (known, found) => known.is_some() != found.is_some(),
        };
        found
            .filter(|(path, found)| differs(path, found))
            .map(|(path, found)| (path.clone(), found))
            .collect()
    }

    /// Whether a path is a root and a symbolic link.
    pub(super) fn is_root_link(&self, path: &Path) -> bool {
        self.roots.iter().any(|root| root.is_link() && root.path == path)
    }

    /// Takes an event for a path that may be a root, lie above one, or lie on the way of its links.
    pub(super) fn check_root_event(&mut self, event: &RawEvent) -> RootCheck {
        let mut check = RootCheck::default();
        for index in 0..self.roots.len() {
            if self.roots[index].depends_on(&event.path) {
                check.events.extend(self.roots[index].event_through_link(event));
                self.check_root(index, &event.path, &mut check);
                check.needs_anchors |= self.roots[index].needs_anchors_after(&event.path);
            }
        }
        self.with_anchors(check)
    }

    /// Examines the roots, where no event reports their changes.
    pub(super) fn check_moved_roots(&mut self) -> RootCheck {
        let check = self.enter_moved_roots();
        self.with_anchors(check)
    }

    /// Examines the roots that may have lost their last entry, and so may be about to be removed.
    pub(super) fn check_emptied_roots(&mut self) -> RootCheck {
        let mut check = RootCheck::default();
        for index in 0..self.roots.len() {
            if self.roots[index].is_dir() {
                check.needs_anchors |= self.roots[index].update_is_empty(&self.sync);
                self.check_root_if_moved(index, &mut check);
            }
        }
        self.with_anchors(check)
    }

    /// Enters and leaves the roots that were replaced, created or removed without an event.
    fn enter_moved_roots(&mut self) -> RootCheck {
        let mut check = RootCheck::default();
        for index in 0..self.roots.len() {
            self.check_root_if_moved(index, &mut check);
        }
        check
    }

    fn with_anchors(&mut self, mut check: RootCheck) -> RootCheck {
        if check.needs_anchors {
            check.events.extend(self.update_anchors());
        }
        check
    }

    fn check_root_if_moved(&mut self, index: usize, check: &mut RootCheck) {
        if self.roots[index].has_moved(&self.sync) {
            let path = self.roots[index].path.clone();
            self.check_root(index, &path, check);
        }
    }

    /// Enters or leaves a root if it has appeared, disappeared or been replaced, after an event for `event_path`.
    fn check_root(&mut self, index: usize, event_path: &Path, check: &mut RootCheck) {
        let path = self.roots[index].path.clone();
        let (was, is) = (self.roots[index].kind, RootKind::of_path(&path));
        let home = path.parent().unwrap_or(&path);
        let home_extent = match self.sync.snapshot().dir(home) {
            None => HomeExtent::Unknown,
            Some(dir) if dir.has_root_files_only() => HomeExtent::RootFiles { is_missing: dir.is_missing() },
            Some(_) => HomeExtent::Whole,
        };
        match (was, is) {
            (RootKind::Missing, RootKind::Missing) => return,
            // The watch of its directory reports what happens to the file.
            (RootKind::File, _) if home_extent == HomeExtent::Whole => return,
            (RootKind::File | RootKind::Missing, RootKind::File | RootKind::Missing)
                if self.is_in_tree(home) =>
            {
                // A missing file in a tree stays a file here, because it needs no anchors.
                if is == RootKind::File {
                    self.roots[index].kind = is;
                }
                return;
            }
            (RootKind::File, RootKind::File | RootKind::Missing)
                if home_extent == HomeExtent::RootFiles { is_missing: false }
                    && !starts_with(home, event_path) =>
            {
                return;
            }
            _ => {}
        }
        check.events.extend(self.reenter(index, is, home_extent));
        (check.has_changed, check.needs_anchors) = (true, true);
    }

    /// Leaves the old state of a root, and enters the new one.
    fn reenter(&mut self, index: usize, is: RootKind, home_extent: HomeExtent) -> Vec<RawEvent> {
        let path = self.roots[index].path.clone();
        let home = path.parent().unwrap_or(&path);
        let has_root_files_only = matches!(home_extent, HomeExtent::RootFiles { .. });
        if is == RootKind::Dir && !self.roots[index].is_dir() {
            // The rules may have been read before the directory existed.
            self.sync.filter.rules.forget(&path);
        }
        self.roots[index].kind = is;
        // The watches may be on the directory that was here before.
        let mut below = self.sync.snapshot().dirs_below(&path);
        if has_root_files_only {
            below.push(home.to_owned());
        }
        self.sync.watches.remove(below);
        let mut events = Vec::new();
        if is != RootKind::Dir {
            events.extend(self.sync.mark_missing_below(&path));
        }
        if is != RootKind::File && has_root_files_only {
            // Other roots in the same directory may still exist.
            events.extend(self.sync_root_files(home, SyncMode::Rewatch));
        }
        events.extend(self.enter(index, SyncMode::Rewatch));
        events
    }

    fn enter(&mut self, index: usize, mode: SyncMode<'_>) -> Vec<RawEvent> {
        let path = self.roots[index].path.clone();
        match self.roots[index].kind {
            RootKind::Dir => {
                let events = self.sync.sync(&path, mode);
                self.roots[index].update_is_empty(&self.sync);
                events
            }
            RootKind::File => {
                let Some(home) = path.parent() else { return Vec::new() };
                let snapshot = self.sync.snapshot();
                let is_known = snapshot.dir(home).is_some_and(|dir| !dir.has_root_files_only());
                drop(snapshot);
                if is_known || self.is_in_tree(home) {
                    return Vec::new();
                }
                self.sync_root_files(home, mode)
            }
            RootKind::Missing => Vec::new(),
        }
    }

    fn is_in_tree(&self, dir: &Path) -> bool {
        let mut roots = self.roots.iter().filter(|root| root.is_dir());
        roots.any(|root| dir.starts_with(&root.path)) && self.sync.filter.counts_dir(dir)
    }

    /// Compares the roots that are files in one directory with the disk.
    fn sync_root_files(&mut self, home: &Path, mode: SyncMode<'_>) -> Vec<RawEvent> {
        let paths = self.roots.iter().map(|root| &root.path);
        let names: Vec<_> = paths.filter(|path| path.parent() == Some(home)).cloned().collect();
        self.sync.sync_names(home, &names, mode)
    }

    /// Compares the entries of one directory with the disk.
    pub(super) fn sync_dir(&mut self, path: &Path) -> Vec<RawEvent> {
        let has_root_files_only = self.sync.snapshot().has_root_files_only(path);
        if has_root_files_only {
            self.sync_root_files(path, SyncMode::Rescan)
        } else {
            self.sync.sync_one(path)
        }
    }

    /// Watches with a new instance, and compares everything with the disk.
    pub(super) fn rescan(&mut self) -> Vec<RawEvent> {
        self.sync.renew_watches();
        // A root that is gone is left first, because nothing else compares its files.
        let mut events = self.enter_moved_roots().events;
        for index in 0..self.roots.len() {
            let path = self.roots[index].path.clone();
            let is = RootKind::of_path(&path);
            let was = std::mem::replace(&mut self.roots[index].kind, is);
            events.extend(self.enter(index, SyncMode::Rescan));
            if let (RootKind::File, RootKind::Missing, Some(home)) = (was, is, path.parent()) {
                events.extend(self.sync_dir(home));
            }
        }
        events.extend(self.update_anchors());
        events
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
        let root_files = self.known_root_files();
        let begun = SystemTime::now();
        let is_other_file = |event: &RawEvent| !edit.files.contains(&event.path);
        let mut events = Vec::new();
        for dir in &dirs {
            events.extend(self.sync.sync(dir, SyncMode::Rescan).into_iter().filter(is_other_file));
        }
        let homes = edit.files.iter().filter_map(|file| file.parent());
        for dir in homes.chain(dirs.iter().map(PathBuf::as_path)) {
            self.sync.filter.rules.forget(dir);
        }
        let unchanged_since = edit.unchanged_since(&self.sync, now, begun);
        pending.extend(events.iter().map(|event| event.path.clone()));
        let mode = SyncMode::NewRules { unchanged_since, pending: &pending };
        for dir in &dirs {
            events.extend(self.sync.sync(dir, mode).into_iter().filter(is_other_file));
        }
        self.restore_root_files(root_files, &mut events);
        events
    }

    /// The roots that are files, with their entries in the snapshot.
    fn known_root_files(&self) -> Vec<(usize, SnapshotFile)> {
        let snapshot = self.sync.snapshot();
        let known = |(index, root): (usize, &Root)| Some((index, snapshot.file(&root.path)?.clone()));
        self.roots.iter().enumerate().filter_map(known).collect()
    }

    /// Puts files back that left the snapshot with an ignored directory. A root counts in spite of the rules.
    fn restore_root_files(&mut self, known: Vec<(usize, SnapshotFile)>, events: &mut Vec<RawEvent>) {
        for (index, file) in known {
            let path = self.roots[index].path.clone();
            if self.sync.snapshot().file(&path).is_some() {
                continue;
            }
            events.extend(self.enter(index, SyncMode::Rescan));
            if let Some(home) = path.parent() {
                self.sync.snapshot().insert_file(home, file);
            }
            events.push(RawEvent::new(path, RawEventKind::Written));
        }
    }
}
