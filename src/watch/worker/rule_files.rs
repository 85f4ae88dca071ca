//! Rule files: edits that wait to take effect, and the files that lie outside the trees.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::root::Root;
use crate::rules;
use crate::watch::fs::{FileSignature, PathMap, nanoseconds, starts_with};
use crate::watch::{git::MAX_HOLD, snapshot::SnapshotSync};

/// Quiet time after which an edited rule file is read again.
const QUIET_TIME: Duration = Duration::from_millis(25);
/// Maximum wait for the content of an empty rule file, which an editor most likely is about to write.
const MAX_EMPTY_WAIT: Duration = Duration::from_millis(250);
/// Maximum age of a file that the running child may not have seen. Kernels before 6.13 use the time of the
/// last timer tick, up to 10 ms ago.
const RECENT_WRITE: Duration = Duration::from_millis(10);
/// The same for files that a checkout has written together with the rule files.
const RECENT_CHECKOUT: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct RuleFiles {
    options: rules::Options,
    /// Edits that are not in effect yet.
    edit: Option<RuleEdit>,
    /// The rule files outside the trees, with their signatures.
    outside: PathMap<Option<FileSignature>>,
    /// The directories in which an outside file was or could have been.
    homes: BTreeSet<PathBuf>,
}

#[derive(Debug)]
pub(super) struct RuleEdit {
    pub(super) files: BTreeSet<PathBuf>,
    first: Instant,
    /// The time of the last edit.
    pub(super) last: Instant,
}

impl RuleEdit {
    /// The time since which a file that was ignored until now must be unchanged to enter the snapshot without
    /// an event. The child may not have seen a later version. Nanoseconds since the epoch.
    pub(super) fn unchanged_since(&self, sync: &SnapshotSync, now: Instant, wall_clock: SystemTime) -> i64 {
        let is_checkout = sync.git.has_just_updated(wall_clock);
        let since_first = now.saturating_duration_since(self.first);
        let margin = if is_checkout { since_first + RECENT_CHECKOUT } else { RECENT_WRITE };
        nanoseconds(wall_clock).saturating_sub(i64::try_from(margin.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl RuleFiles {
    pub(super) fn new(options: rules::Options) -> Self {
        Self { options, edit: None, outside: PathMap::new(), homes: BTreeSet::new() }
    }

    pub(super) fn add_edit(&mut self, file: PathBuf, at: Instant) {
        tracing::debug!(?file, "rule file edited");
        let edit = self.edit.get_or_insert(RuleEdit { files: BTreeSet::new(), first: at, last: at });
        edit.files.insert(file);
        edit.last = at;
    }

    /// The time when the edits are to take effect; `None` without an edit.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.edit.as_ref().map(|edit| edit.last + QUIET_TIME)
    }

    /// Lets the edits take effect without a quiet time, because an answer waits for them.
    pub(super) fn hurry(&mut self, now: Instant) {
        if let Some(edit) = &mut self.edit {
            edit.last = now.checked_sub(QUIET_TIME).unwrap_or(now).min(edit.last);
        }
    }

    /// Takes the edits if they are to take effect now. While git works, or a file is empty, they wait longer.
    pub(super) fn take_due_edit(&mut self, now: Instant, sync: &SnapshotSync) -> Option<RuleEdit> {
        let edit = self.edit.as_mut().filter(|edit| edit.last + QUIET_TIME <= now)?;
        let waited = now.saturating_duration_since(edit.first);
        let is_git_at_work = waited < MAX_HOLD && sync.git.lock(SystemTime::now()).is_some();
        if is_git_at_work || (waited < MAX_EMPTY_WAIT && edit.files.iter().any(|file| is_empty(file))) {
            edit.last = now;
            return None;
        }
        self.edit.take()
    }

    /// Reads the signature of a path again if it is a rule file outside the trees. Returns whether it is one.
    pub(super) fn update_if_outside(&mut self, path: &Path) -> bool {
        let Some(known) = self.outside.get_mut(path.as_os_str()) else { return false };
        *known = FileSignature::of_path(path).ok();
        true
    }

    /// Whether a rule file outside the trees lies below a path.
    pub(super) fn has_outside_below(&self, path: &Path) -> bool {
        // Most event paths are longer than these paths, so the length alone decides.
        let length = path.as_os_str().len();
        let mut longer = self.outside.keys().filter(|file| file.len() > length);
        longer.any(|file| starts_with(file.as_ref(), path))
    }

    /// The rule files that no watch or scan of a tree covers: files that the rules name, and files in the
    /// directories from the working directory down to a root.
    pub(super) fn find_outside(&self, sync: &SnapshotSync, roots: &[Root]) -> BTreeSet<PathBuf> {
        let mut files: BTreeSet<PathBuf> = sync.filter.rules.outside_files().into_iter().collect();
        let vcs = self.options.vcs.then(|| ".gitignore".into());
        let names: Vec<_> = self.options.file_names.iter().cloned().chain(vcs).collect();
        for root in roots {
            let above = root.path.ancestors().skip(1).take_while(|dir| dir.starts_with(&self.options.base));
            files.extend(above.flat_map(|dir| names.iter().map(|name| dir.join(name))));
        }
        let snapshot = sync.snapshot();
        let home_of = |file: &PathBuf| file.parent().and_then(|home| snapshot.dir(home));
        files.retain(|file| home_of(file).is_none_or(|home| home.has_root_files_only()));
        files
    }

    /// The directories whose watches report changes of these files. For a directory that has disappeared this
    /// is the nearest one above it. A directory that never existed is left out.
    pub(super) fn homes_of(&mut self, files: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
        let mut homes = BTreeSet::new();
        for home in files.iter().filter_map(|file| file.parent()) {
            if home.is_dir() {
                self.homes.insert(home.to_owned());
            }
            if self.homes.contains(home) {
                homes.extend(home.ancestors().find(|dir| dir.is_dir()).map(Path::to_owned));
            }
        }
        homes
    }

    /// Replaces the set of outside files. A known one with another signature counts as edited.
    pub(super) fn set_outside(&mut self, files: BTreeSet<PathBuf>) {
        let now = Instant::now();
        let known = std::mem::take(&mut self.outside);
        for file in files {
            let found = FileSignature::of_path(&file).ok();
            if known.get(file.as_os_str()).is_some_and(|known| *known != found) {
                self.add_edit(file.clone(), now);
            }
            self.outside.insert(file.into(), found);
        }
    }

    /// Compares the outside files with the disk, where no event reports their changes.
    pub(super) fn scan_outside(&mut self) {
        self.set_outside(self.outside.keys().map(PathBuf::from).collect());
    }

    /// Whether an outside file may have been read before its last write, if it was read after `begun`.
    pub(super) fn may_have_missed_write(&self, begun: SystemTime) -> bool {
        let signature = |file| FileSignature::of_path(Path::new(file));
        self.outside.keys().any(|file| signature(file).is_ok_and(|signature| signature.is_racy(begun)))
    }

    /// The directories below which the rules can have changed: the homes of the edited files, or every root.
    pub(super) fn affected_dirs(&self, edit: &RuleEdit, sync: &SnapshotSync, roots: &[Root]) -> Vec<PathBuf> {
        let snapshot = sync.snapshot();
        let mut dirs = HashSet::new();
        for file in &edit.files {
            let home = file
                .parent()
                .filter(|home| !self.outside.contains_key(file.as_os_str()) && snapshot.dir(home).is_some());
            match home {
                Some(home) => _ = dirs.insert(home),
                None => {
                    dirs.extend(roots.iter().filter(|root| root.is_dir()).map(|root| root.path.as_path()))
                }
            }
        }
        let is_top = |dir: &&Path| !dirs.iter().any(|other| other != dir && dir.starts_with(other));
        let mut top: Vec<_> = dirs.iter().copied().filter(is_top).map(Path::to_owned).collect();
        top.sort_unstable();
        top
    }
}

fn is_empty(file: &Path) -> bool {
    FileSignature::of_path(file).is_ok_and(|signature| signature.is_empty_file())
}
