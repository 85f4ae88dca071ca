//! Rule files that change: the new rules take effect at once.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::watch::event::Event;
use crate::watch::fs::signature::{self, Kind, nanoseconds};
use crate::watch::raw_event::RawEventKind;
use crate::watch::snapshot::snapshot::Entry;
use crate::watch::snapshot::sync::{PathEvent, SyncMode};
use crate::watch::worker::root::{Root, State};
use crate::watch::worker::worker::{LONGEST_HOLD, Worker};

/// A rule file is read again once its saving has been over for so long.
pub(super) const RULES_QUIET: Duration = Duration::from_millis(25);
/// A rule file that is empty is most likely being saved: what it says is not nothing, for so long.
const EMPTIED: Duration = Duration::from_millis(250);
/// The tick by which older kernels signature files.
const TICK: Duration = Duration::from_millis(10);

impl Worker {
    /// Lets edited rules take effect. First everything is compared under the old rules, so that what is new is reported
    /// from what was ignored until now: only the latter enters the snapshot without a word.
    pub(super) fn follow_rules(&mut self, now: Instant) {
        let Some((first, last)) = self.rule_edits_at.filter(|(_, last)| *last + RULES_QUIET <= now) else {
            return;
        };
        let at_work = self.sync.git.marker(SystemTime::now()).is_some();
        if at_work && now.saturating_duration_since(first) < LONGEST_HOLD {
            self.rule_edits_at = Some((first, now));
            return;
        }
        if now.saturating_duration_since(first) < EMPTIED && self.rule_edits.iter().any(|file| is_empty(file))
        {
            self.rule_edits_at = Some((first, now));
            return;
        }
        let files = std::mem::take(&mut self.rule_edits);
        self.rule_edits_at = None;
        let starts = self.starts_of(&files);
        let named = self.named_files();
        let begun = SystemTime::now();
        for start in &starts {
            let noted = self.sync.sync(start, SyncMode::RESCAN);
            self.note_but(&files, noted, last);
        }
        files.iter().filter_map(|file| file.parent()).for_each(|dir| self.sync.forget(dir));
        starts.iter().for_each(|start| self.sync.forget(start));
        let silent_before = self.silent_before(begun, now.saturating_duration_since(first));
        let written = self.writing.paths().map(PathBuf::as_path);
        self.sync.pending = self.debouncer.paths().chain(written).map(Path::to_owned).collect();
        for start in &starts {
            let noted = self.sync.sync(start, SyncMode { silent_before, rewatch: false });
            self.note_but(&files, noted, last);
        }
        self.sync.pending.clear();
        self.keep_named(named, last);
        self.withdraw_ignored();
        self.anchor();
        self.refresh();
        self.read_on();
        let (defects, summary) = (self.sync.filter.rules().defects(), self.summary());
        self.tell(Event::RulesReloaded { files: files.into_iter().collect(), defects, summary });
    }

    /// The files that are roots, as they are known.
    fn named_files(&self) -> Vec<(usize, Entry)> {
        let tree = self.sync.tree();
        let known = |(index, root): (usize, &Root)| Some((index, tree.file(&root.path)?.clone()));
        self.roots.iter().enumerate().filter_map(known).collect()
    }

    /// These count whatever the rules say: one whose directory is left out now is still compared with what was known.
    fn keep_named(&mut self, named: Vec<(usize, Entry)>, at: Instant) {
        for (index, known) in named {
            let path = self.roots[index].path.clone();
            if self.sync.tree().file(&path).is_some() {
                continue;
            }
            let mut noted = self.enter_root(index, SyncMode::RESCAN);
            noted.push((path.clone(), RawEventKind::Written));
            path.parent().inspect(|home| _ = self.sync.tree().put_file(home, known));
            self.note(noted, at);
        }
    }

    /// The rule files that no watch or scan of a tree would see: those the rules know of, and those between the
    /// working directory and a root below it.
    pub(super) fn outside_files(&self) -> BTreeSet<PathBuf> {
        let mut files: BTreeSet<PathBuf> = self.sync.filter.rules().outside_files().into_iter().collect();
        let vcs = self.rules.vcs.then(|| ".gitignore".into());
        let names: Vec<_> = self.rules.file_names.iter().cloned().chain(vcs).collect();
        let base = &self.rules.base;
        for root in &self.roots {
            let above = root.path.ancestors().skip(1).take_while(|dir| dir.starts_with(base));
            files.extend(above.flat_map(|dir| names.iter().map(|name| dir.join(name))));
        }
        let tree = self.sync.tree();
        let is_seen =
            |file: &PathBuf| file.parent().and_then(|home| tree.dir(home)).is_some_and(|dir| !dir.partial);
        files.retain(|file| !is_seen(file));
        files
    }

    /// The directories whose entries tell of these files. Of one that was there and is not at the moment the nearest above
    /// tells when it is back; one that never was is not waited for.
    pub(super) fn homes_of(&mut self, files: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
        let mut homes = BTreeSet::new();
        for home in files.iter().filter_map(|file| file.parent()) {
            if home.is_dir() {
                self.homes.insert(home.to_owned());
            }
            let known = self.homes.contains(home);
            homes.extend(home.ancestors().find(|dir| dir.is_dir()).filter(|_| known).map(Path::to_owned));
        }
        homes
    }

    /// These are the rule files outside the trees from now on; those that differ from when they were last looked at were
    /// touched.
    pub(super) fn look_outside(&mut self, files: BTreeSet<PathBuf>) {
        let now = Instant::now();
        let known = std::mem::take(&mut self.outside);
        for file in files {
            let found = signature::look(&file).ok();
            if known.get(file.as_os_str()).is_some_and(|known| *known != found) {
                self.rule_touched(file.clone(), now);
            }
            self.outside.insert(file.into(), found);
        }
    }

    /// Compares the rule files outside the trees where no event tells of them.
    pub(super) fn scan_outside(&mut self) {
        self.look_outside(self.outside.keys().map(PathBuf::from).collect());
    }

    /// Whether a rule file outside the trees may have been read before its last write.
    pub(super) fn outside_changed_since(&self, begun: SystemTime) -> bool {
        self.outside
            .keys()
            .any(|file| signature::look(file.as_ref()).is_ok_and(|signature| signature.is_racy(begun)))
    }

    /// Notes what was found, but not once more the rule files that it was found for.
    pub(super) fn note_but(&mut self, files: &BTreeSet<PathBuf>, mut noted: Vec<PathEvent>, at: Instant) {
        noted.retain(|(path, _)| !files.contains(path));
        self.note(noted, at);
    }

    /// Where rules can have changed: below the directories of the files, or everywhere.
    pub(super) fn starts_of(&self, files: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
        let tree = self.sync.tree();
        let roots =
            || self.roots.iter().filter(|root| root.state == State::Dir).map(|root| root.path.clone());
        let mut starts = BTreeSet::new();
        for file in files {
            let home = file
                .parent()
                .filter(|home| !self.outside.contains_key(file.as_os_str()) && tree.dir(home).is_some());
            match home {
                Some(home) => _ = starts.insert(home.to_owned()),
                None => starts.extend(roots()),
            }
        }
        let is_top =
            |start: &&PathBuf| !starts.iter().any(|other| other != *start && start.starts_with(other));
        starts.iter().filter(is_top).cloned().collect()
    }

    /// Files that were ignored until now are taken as they are if they had not just been written, or were brought
    /// by the same checkout as the rules: then the child has not seen them.
    pub(super) fn silent_before(&self, begun: SystemTime, since_first: Duration) -> i64 {
        let margin =
            if self.sync.git.moved_lately(begun) { since_first + Duration::from_secs(2) } else { TICK };
        nanoseconds(begun).saturating_sub(i64::try_from(margin.as_nanos()).unwrap_or(i64::MAX))
    }

    pub(super) fn withdraw_ignored(&mut self) {
        let filter = &self.sync.filter;
        let tree = self.sync.tree();
        let ignored = |path: &&Path| tree.file(path).is_none() && !filter.counts_file(path);
        let ignored: Vec<PathBuf> = self.debouncer.paths().filter(ignored).map(Path::to_owned).collect();
        drop(tree);
        ignored.iter().for_each(|path| self.debouncer.withdraw(path));
    }
}

fn is_empty(file: &Path) -> bool {
    signature::look(file).is_ok_and(|signature| signature.kind == Kind::File && signature.size == 0)
}
