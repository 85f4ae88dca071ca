//! The room's thread: takes hints, looks where they point, gives batches. Knows when to look; how to look stands
//! in the files above.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc::UnboundedSender;

use crate::rules;

use super::coalesce::Coalescer;
use super::compare::{Comparer, Proof};
use super::event::{Event, Summary};
use super::filter::Filter;
use super::hint::{Hint, Sign};
use super::inbox::{Inbox, Message};
use super::keeper::Keeper;
use super::options::{Mode, Options};
use super::pace::Pace;
use super::plan::{Plan, Shared};
use super::proving::{Means, Outcome, prove};
use super::reading::Reading;
use super::roots::{Root, State, probe};
use super::source::{Notice, glance, scan};
use super::stamp::{self, Kind, Stamp, nanoseconds};
use super::survey::{How, Noted, Survey};
use super::tree::{Attention, Dir};
use super::walk::open_dir;

/// A rule file is read again once its saving has been over for so long.
const RULES_QUIET: Duration = Duration::from_millis(25);
/// The tick by which older kernels stamp files.
const TICK: Duration = Duration::from_millis(10);
/// While git is at work it is looked at again after so long.
const HOLD_POLL: Duration = Duration::from_millis(10);
/// It is said after so long.
const HOLD_SAID: Duration = Duration::from_millis(100);
/// The longest that a burst is held back.
const LONGEST_HOLD: Duration = Duration::from_secs(30);
/// What could not be watched or read is tried again after so long.
const RETRY: Duration = Duration::from_secs(5);
const RETRY_UNREADABLE: Duration = Duration::from_secs(30);
/// More files than this that were written just before the start are waited out rather than read at once.
const MANY_RACY: usize = 500;

/// A burst that is held back.
#[derive(Debug)]
struct Hold {
    since: Instant,
    next: Instant,
    said: bool,
}

/// Everything the thread owns.
#[derive(Debug)]
pub(crate) struct Room {
    inbox: Arc<Inbox>,
    shared: Arc<Shared>,
    out: UnboundedSender<Event>,
    survey: Survey,
    roots: Vec<Root>,
    asked: Mode,
    coalescer: Coalescer,
    means: Means,
    pace: Pace,
    /// What the paths of the burst looked like when they were last hinted at: what looks otherwise at its end is
    /// still being written.
    seen: HashMap<PathBuf, Stamp>,
    /// Rule files that were touched, and when the first and the last of them was.
    rule_edits: BTreeSet<PathBuf>,
    rule_edits_at: Option<(Instant, Instant)>,
    /// Rule files that no watch or scan of a tree would see, and how they looked.
    outside: HashMap<PathBuf, Option<Stamp>>,
    rules: rules::Options,
    hold: Option<Hold>,
    retry_at: Option<Instant>,
    anchors: BTreeSet<PathBuf>,
    reading: Option<Reading>,
    has_scanned: bool,
}

impl Room {
    /// Places the watches and takes the snapshot.
    pub(crate) fn open(
        options: &Options,
        filter: Arc<Filter>,
        roots: Vec<Root>,
        (inbox, shared, out): (Arc<Inbox>, Arc<Shared>, UnboundedSender<Event>),
    ) -> Self {
        let links = roots.iter().map(|root| root.path.clone()).collect();
        let keeper = Keeper::new(options.mode, Arc::clone(&inbox), links);
        let survey = Survey::new(Arc::clone(&shared.tree), filter, keeper);
        let mut room = Self {
            inbox,
            shared,
            out,
            survey,
            roots,
            asked: options.mode,
            coalescer: Coalescer::new(options.debounce),
            means: Means { how: options.compare, limit: options.content_limit },
            pace: Pace::new(options.poll_interval, Instant::now()),
            seen: HashMap::new(),
            rule_edits: BTreeSet::new(),
            rule_edits_at: None,
            outside: HashMap::new(),
            rules: options.rules.clone(),
            hold: None,
            retry_at: None,
            anchors: BTreeSet::new(),
            reading: None,
            has_scanned: false,
        };
        room.survey_all();
        room
    }

    /// The first look: everything is taken as it is.
    fn survey_all(&mut self) {
        for at in 0..self.roots.len() {
            let path = self.roots[at].path.clone();
            self.survey.git.add(&path);
            let begun = SystemTime::now();
            let touched = self.enter_root(at, How::FIRST);
            self.anchor();
            if !touched.is_empty() || self.outside_changed_since(begun) {
                // Rules may have been read before the last write to them; now the watches are in place.
                touched.iter().filter_map(|(file, _)| file.parent()).for_each(|dir| self.survey.forget(dir));
                self.survey.forget(&path);
                if !self.survey.keeper.has_events() {
                    // No event will tell of a further write within the same tick: let it pass.
                    std::thread::sleep(3 * TICK);
                }
                self.enter_root(at, How::FIRST);
            }
        }
        self.anchor();
        // Without an instance no watch was even tried.
        self.survey.limit_hit |= self.survey.keeper.is_limited();
        self.settle_racy();
        self.refresh();
        self.read_on();
    }

    /// Files written just before now could be written again without a difference in their stamps: read them while
    /// nobody depends on them yet, or, if they are many, wait until the clock has moved on.
    fn settle_racy(&mut self) {
        let racy: Vec<PathBuf> = {
            let tree = self.survey.tree();
            let racy = |dir: &Dir| {
                let racy = dir.files().iter().filter(|file| file.racy);
                racy.map(|file| dir.path.join(&*file.name)).collect::<Vec<_>>()
            };
            tree.dirs().flat_map(racy).collect()
        };
        let many = racy.len() > MANY_RACY;
        if many {
            std::thread::sleep(2 * TICK);
        }
        let mut comparer = Comparer::new(self.means.how, self.means.limit);
        for path in racy {
            let found = if many { None } else { Some(comparer.prove(&path, None)) };
            let stamp = if many { stamp::look(&path).ok() } else { None };
            let mut tree = self.survey.tree();
            let Some(file) = tree.file_mut(&path) else { continue };
            match (found, stamp) {
                (Some(Proof::Changed(entry)), _) => *file = entry,
                (_, Some(stamp)) if stamp.kind.has_content() => {
                    (file.stamp, file.racy) = (stamp, stamp.is_racy(SystemTime::now()));
                }
                _ => {}
            }
        }
    }

    /// Runs until it is told to stop, or nobody listens any more.
    pub(crate) fn run(mut self) {
        loop {
            let patient = self.coalescer.is_patient() && self.rule_edits.is_empty();
            for (message, at) in self.inbox.take(self.deadline(), patient) {
                match message {
                    Message::Hint(Hint::Path { path, sign }) => self.look(path, sign, at),
                    Message::Hint(Hint::Everything) | Message::Rescan => self.coalescer.push_everything(at),
                    Message::ChildStarted => self.coalescer.child_started(at),
                    Message::Stop => return self.close(),
                }
            }
            self.follow_rules(Instant::now());
            self.scan_if_due(Instant::now());
            self.retry_if_due(Instant::now());
            self.end_burst(Instant::now());
            if self.out.is_closed() {
                return self.close();
            }
        }
    }

    fn close(self) {
        drop(self.reading);
        self.survey.keeper.close();
    }

    fn tell(&self, event: Event) {
        // Nobody listens: the loop ends at its next turn.
        let _ = self.out.send(event);
    }

    /// When something is to be done next without a hint. `None`: never, so that an idle watch costs nothing.
    fn deadline(&self) -> Option<Instant> {
        let burst = self.hold.as_ref().map(|hold| hold.next).or_else(|| self.coalescer.deadline());
        let rules = self.rule_edits_at.map(|(_, last)| last + RULES_QUIET);
        let scan = self.has_scanned.then(|| self.pace.deadline());
        [burst, rules, scan, self.retry_at].into_iter().flatten().min()
    }

    /// Looks where a hint points.
    fn look(&mut self, path: PathBuf, sign: Sign, at: Instant) {
        self.shared.hot.lock().unwrap_or_else(PoisonError::into_inner).count(&path);
        if self.roots.iter().any(|root| root.path.starts_with(&path)) && self.check_roots(&path, at) {
            return;
        }
        if self.outside.contains_key(&path) || self.survey.filter.is_rule_file(&path) {
            self.rule_touched(path, at);
            return;
        }
        // Everything will be compared: what this one points at, too.
        if self.coalescer.is_about_everything() {
            self.coalescer.push_everything(at);
            return;
        }
        let Some(parent) = path.parent() else { return };
        let (is_partial, is_dir, is_file) = {
            let tree = self.survey.tree();
            let Some(dir) = tree.dir(parent) else { return };
            (dir.partial, tree.dir(&path).is_some(), tree.file(&path).is_some())
        };
        if is_partial && !self.survey.filter.is_always(&path) {
            return;
        }
        let found = stamp::look(&path).ok();
        if is_dir && found.is_none_or(|found| found.kind != Kind::Dir) {
            let mut noted = Vec::new();
            self.survey.lose_below(&path, &mut noted);
            self.note(noted, at);
            self.refresh();
        }
        match found {
            Some(found) if found.kind == Kind::Dir => {
                if is_file {
                    self.coalescer.push(path.clone(), Sign::Gone, at);
                }
                // What the rules know of it may be from before it was there.
                self.survey.forget(&path);
                if !is_partial && self.survey.filter.counts_dir(&path) {
                    let noted = self.survey.sync(&path, How::ANEW);
                    self.note(noted, at);
                    self.refresh();
                }
            }
            Some(found) if found.kind.has_content() => {
                if is_file || self.survey.filter.counts_file(&path) {
                    self.seen.insert(path.clone(), found);
                    // Links of both kinds are complete as soon as they are there.
                    let opened = sign == Sign::Opened && found.kind == Kind::File && !found.linked;
                    self.coalescer.push(path, if opened { Sign::Opened } else { Sign::Written }, at);
                }
            }
            _ if is_file => self.coalescer.push(path, Sign::Gone, at),
            _ => self.coalescer.withdraw(&path),
        }
    }

    fn note(&mut self, noted: Vec<Noted>, at: Instant) {
        for (path, sign) in noted {
            if self.survey.filter.is_rule_file(&path) {
                self.rule_touched(path, at);
            } else {
                self.coalescer.push(path, sign, at);
            }
        }
    }

    /// Counts again what depends on the tree's shape, and says if a limit was hit.
    fn refresh(&mut self) {
        let (has_scanned, has_unreadable) = {
            let tree = self.survey.tree();
            let scanned = |dir: &Dir| dir.attention == Attention::Scanned && !dir.unreadable;
            (tree.dirs().any(scanned), tree.dirs().any(|dir| dir.unreadable))
        };
        // Without events the roots themselves are looked at by scans.
        self.has_scanned = has_scanned || !self.survey.keeper.has_events();
        let limited = self.survey.keeper.is_limited();
        let retry = if limited { Some(RETRY) } else { has_unreadable.then_some(RETRY_UNREADABLE) };
        self.retry_at = retry.map(|retry| self.retry_at.unwrap_or_else(|| Instant::now() + retry));
        self.publish();
        if std::mem::take(&mut self.survey.limit_hit) {
            self.say_limited();
        }
    }

    fn publish(&self) {
        let plan = Plan {
            asked: self.asked,
            roots: self.roots.iter().map(|root| (root.path.clone(), root.state == State::Missing)).collect(),
            mounts: self.survey.keeper.mounts(),
            anchors: self.anchors.len(),
        };
        *self.shared.plan.lock().unwrap_or_else(PoisonError::into_inner) = plan;
    }

    fn summary(&self) -> Summary {
        let plan = self.shared.plan.lock().unwrap_or_else(PoisonError::into_inner).clone();
        plan.summary(&self.survey.tree())
    }

    fn say_limited(&self) {
        let summary = self.summary();
        let scanned = summary.roots.iter().filter(|root| root.mode == Mode::Stat);
        let directories: usize = scanned.clone().map(|root| root.directories).sum();
        self.tell(Event::Warning {
            message: format!(
                "the kernel's limit of file watches is used up: {directories} directories are scanned instead"
            ),
            remedy: "raise it, for example: sudo sysctl fs.inotify.max_user_watches=1048576 \
                     fs.inotify.max_user_instances=1024"
                .into(),
        });
        scanned.for_each(|report| self.tell(Event::ModeChanged(report.clone())));
    }

    /// Reads in the background what has not been read.
    fn read_on(&mut self) {
        if self.reading.as_ref().is_none_or(Reading::is_done) {
            let tree = Arc::clone(&self.shared.tree);
            self.reading = Some(Reading::start(tree, self.means.how, self.means.limit));
        }
    }
}

/// Roots that come and go.
impl Room {
    /// Looks at the roots that are, or are below, this path. Gives whether that was all there is to do about it.
    fn check_roots(&mut self, path: &Path, at: Instant) -> bool {
        let (mut done, mut missing) = (false, false);
        for index in 0..self.roots.len() {
            if self.roots[index].path.starts_with(path) {
                done |= self.check_root(index, path, at);
                missing |= self.roots[index].state == State::Missing;
            }
        }
        // A missing root may have come nearer.
        if done || missing {
            self.anchor();
            self.refresh();
        }
        done
    }

    /// `hinted`: the path that was hinted at, the root's own or one above it.
    fn check_root(&mut self, index: usize, hinted: &Path, at: Instant) -> bool {
        let path = self.roots[index].path.clone();
        let state = probe(&path);
        let home = path.parent().unwrap_or(&path);
        let home_is_partial = self.survey.tree().dir(home).map(|dir| dir.partial);
        match (self.roots[index].state, state) {
            (State::Missing, State::Missing) => return false,
            // Its directory tells what happens to it.
            (State::File, _) if home_is_partial == Some(false) => return false,
            (State::File, State::File | State::Missing)
                if home_is_partial == Some(true) && hinted == path =>
            {
                return false;
            }
            _ => {}
        }
        self.roots[index].state = state;
        // Its watches may be on what it was before.
        let mut below = self.survey.tree().below(&path);
        below.extend(home_is_partial.filter(|partial| *partial).map(|_| home.to_owned()));
        self.survey.unwatch(below);
        let mut noted = Vec::new();
        if state != State::Dir {
            self.survey.lose_below(&path, &mut noted);
        }
        if state == State::Missing && home_is_partial == Some(true) {
            self.survey.lose_below(home, &mut noted);
        }
        noted.extend(self.enter_root(index, How::ANEW));
        self.note(noted, at);
        true
    }

    fn enter_root(&mut self, index: usize, how: How) -> Vec<Noted> {
        let path = self.roots[index].path.clone();
        match self.roots[index].state {
            State::Dir => {
                let noted = self.survey.sync(&path, how);
                self.roots[index].empty = self.is_empty(&path);
                noted
            }
            State::File => {
                let Some(home) = path.parent().map(Path::to_owned) else { return Vec::new() };
                if self.survey.tree().dir(&home).is_some_and(|dir| !dir.partial) {
                    return Vec::new();
                }
                self.sync_home(&home, how)
            }
            State::Missing => Vec::new(),
        }
    }

    /// Looks at the files in a directory that are roots.
    fn sync_home(&mut self, home: &Path, how: How) -> Vec<Noted> {
        let names = self.roots.iter().map(|root| &root.path).filter(|path| path.parent() == Some(home));
        let names: Vec<_> = names.cloned().collect();
        self.survey.sync_names(home, &names, how)
    }

    /// Whether a root has nothing in it, not even what is ignored.
    fn is_empty(&self, path: &Path) -> bool {
        let seems = {
            let tree = self.survey.tree();
            tree.dir(path).is_some_and(|dir| dir.files().is_empty() && dir.dirs().is_empty())
        };
        seems && std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
    }

    /// A root that has just been emptied may be about to be removed; its own watch does not tell, while a process
    /// is in it.
    fn check_emptied(&mut self, at: Instant) {
        let mut changed = false;
        for index in 0..self.roots.len() {
            let path = self.roots[index].path.clone();
            if self.roots[index].state != State::Dir {
                continue;
            }
            let empty = self.is_empty(&path);
            changed |= empty != self.roots[index].empty;
            self.roots[index].empty = empty;
            if probe(&path) != State::Dir {
                changed |= self.check_root(index, &path, at);
            }
        }
        if changed {
            self.anchor();
            self.refresh();
        }
    }

    /// Watches what must be watched beside the tree: the parents of missing roots, the homes of rule files.
    fn anchor(&mut self) {
        loop {
            let outside = self.outside_files();
            let homes = outside.iter().filter_map(|file| file.parent()).filter(|home| home.is_dir());
            let mut wanted: BTreeSet<PathBuf> = homes.map(Path::to_owned).collect();
            wanted.extend(self.roots.iter().flat_map(Root::anchors));
            let looks = |file: PathBuf| (stamp::look(&file).ok(), file);
            self.outside = outside.into_iter().map(looks).map(|(stamp, file)| (file, stamp)).collect();
            let in_tree: HashSet<PathBuf> = {
                let tree = self.survey.tree();
                let watched =
                    |path: &&PathBuf| tree.dir(path).is_some_and(|dir| dir.attention == Attention::Watched);
                wanted.iter().chain(&self.anchors).filter(watched).cloned().collect()
            };
            wanted.retain(|path| !in_tree.contains(path));
            let placed = self.survey.keeper.anchor(wanted.clone(), |path| in_tree.contains(path));
            self.anchors = wanted;
            if !placed || !self.any_root_moved() {
                return;
            }
        }
    }

    /// Whether a root has come or gone while its parents were not watched yet; if so it is entered or left.
    fn any_root_moved(&mut self) -> bool {
        let moved = |root: &Root| (probe(&root.path) == State::Missing) != (root.state == State::Missing);
        let moved: Vec<_> = (0..self.roots.len()).filter(|index| moved(&self.roots[*index])).collect();
        let now = Instant::now();
        let mut any = false;
        for index in moved {
            let path = self.roots[index].path.clone();
            any |= self.check_root(index, &path, now);
        }
        any
    }
}

/// Rule files that change.
impl Room {
    fn rule_touched(&mut self, path: PathBuf, at: Instant) {
        self.rule_edits.insert(path);
        let first = self.rule_edits_at.map_or(at, |(first, _)| first);
        self.rule_edits_at = Some((first, at));
    }

    /// Lets edited rules take effect. First everything is compared under the old rules, so that what is new is told
    /// from what was ignored until now: only the latter enters the snapshot without a word.
    fn follow_rules(&mut self, now: Instant) {
        let Some((first, last)) = self.rule_edits_at.filter(|(_, last)| *last + RULES_QUIET <= now) else {
            return;
        };
        let at_work = self.survey.git.marker(SystemTime::now()).is_some();
        if at_work && now.saturating_duration_since(first) < LONGEST_HOLD {
            self.rule_edits_at = Some((first, now));
            return;
        }
        let files = std::mem::take(&mut self.rule_edits);
        self.rule_edits_at = None;
        let starts = self.starts_of(&files);
        let begun = SystemTime::now();
        for start in &starts {
            let noted = self.survey.sync(start, How::AGAIN);
            self.note_but(&files, noted, last);
        }
        files.iter().filter_map(|file| file.parent()).for_each(|dir| self.survey.forget(dir));
        starts.iter().for_each(|start| self.survey.forget(start));
        let silent_before = self.silent_before(begun, now.saturating_duration_since(first));
        self.survey.pending = self.coalescer.paths().cloned().collect();
        for start in &starts {
            let noted = self.survey.sync(start, How { silent_before, rewatch: false });
            self.note_but(&files, noted, last);
        }
        self.survey.pending.clear();
        self.withdraw_ignored();
        self.anchor();
        self.refresh();
        self.read_on();
        let (defects, summary) = (self.survey.filter.rules().defects(), self.summary());
        self.tell(Event::RulesReloaded { files: files.into_iter().collect(), defects, summary });
    }

    /// The rule files that no watch or scan of a tree would see: those the rules know of, and those between the
    /// working directory and a root below it.
    fn outside_files(&self) -> BTreeSet<PathBuf> {
        let mut files: BTreeSet<PathBuf> = self.survey.filter.rules().outside_files().into_iter().collect();
        let vcs = self.rules.vcs.then(|| ".gitignore".into());
        let names: Vec<_> = self.rules.file_names.iter().cloned().chain(vcs).collect();
        let base = &self.rules.base;
        for root in &self.roots {
            let above = root.path.ancestors().skip(1).take_while(|dir| dir.starts_with(base));
            files.extend(above.flat_map(|dir| names.iter().map(|name| dir.join(name))));
        }
        let tree = self.survey.tree();
        let is_seen =
            |file: &PathBuf| file.parent().and_then(|home| tree.dir(home)).is_some_and(|dir| !dir.partial);
        files.retain(|file| !is_seen(file));
        files
    }

    /// Compares the rule files outside the trees where no event tells of them.
    fn scan_outside(&mut self, now: Instant) {
        let changed = |(file, known): (&PathBuf, &Option<Stamp>)| {
            let found = stamp::look(file).ok();
            (found != *known).then(|| file.clone())
        };
        let changed: Vec<_> = self.outside.iter().filter_map(changed).collect();
        for file in changed {
            self.outside.insert(file.clone(), stamp::look(&file).ok());
            self.rule_touched(file, now);
        }
    }

    /// Whether a rule file outside the trees may have been read before its last write.
    fn outside_changed_since(&self, begun: SystemTime) -> bool {
        self.outside.keys().any(|file| stamp::look(file).is_ok_and(|stamp| stamp.is_racy(begun)))
    }

    /// Notes what was found, but not once more the rule files that it was found for.
    fn note_but(&mut self, files: &BTreeSet<PathBuf>, mut noted: Vec<Noted>, at: Instant) {
        noted.retain(|(path, _)| !files.contains(path));
        self.note(noted, at);
    }

    /// Where rules can have changed: below the directories of the files, or everywhere.
    fn starts_of(&self, files: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
        let tree = self.survey.tree();
        let roots =
            || self.roots.iter().filter(|root| root.state == State::Dir).map(|root| root.path.clone());
        let mut starts = BTreeSet::new();
        for file in files {
            let home =
                file.parent().filter(|home| !self.outside.contains_key(file) && tree.dir(home).is_some());
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
    fn silent_before(&self, begun: SystemTime, since_first: Duration) -> i64 {
        let margin =
            if self.survey.git.moved_lately(begun) { since_first + Duration::from_secs(2) } else { TICK };
        nanoseconds(begun).saturating_sub(i64::try_from(margin.as_nanos()).unwrap_or(i64::MAX))
    }

    fn withdraw_ignored(&mut self) {
        let filter = &self.survey.filter;
        let tree = self.survey.tree();
        let ignored = |path: &&PathBuf| tree.file(path).is_none() && !filter.counts_file(path);
        let ignored: Vec<PathBuf> = self.coalescer.paths().filter(ignored).cloned().collect();
        drop(tree);
        ignored.iter().for_each(|path| self.coalescer.withdraw(path));
    }
}

/// Scans.
impl Room {
    fn scan_if_due(&mut self, now: Instant) {
        if !self.has_scanned {
            return;
        }
        if self.pace.is_scan_due(now) {
            self.scan_all(now);
            return;
        }
        let lately = self.pace.glance(now);
        let notices = glance(&self.survey.tree(), &lately);
        self.heed(notices, Instant::now());
    }

    fn scan_all(&mut self, now: Instant) {
        if !self.survey.keeper.has_events() {
            self.any_root_moved();
            self.scan_outside(now);
        }
        let notices = {
            let tree = self.survey.tree();
            let dirs: Vec<_> = tree.dirs().filter(|dir| dir.attention == Attention::Scanned).collect();
            scan(&dirs)
        };
        let ended = Instant::now();
        self.heed(notices, ended);
        if let Some(interval) = self.pace.scanned(ended, ended.saturating_duration_since(now) * 2) {
            self.tell(Event::Warning {
                message: format!("a scan takes so long that only one every {interval:.1?} is made"),
                remedy: "ignore what need not be watched, or use the event mode where events work".into(),
            });
        }
    }

    fn heed(&mut self, notices: Vec<Notice>, now: Instant) {
        let mut reshaped = false;
        for notice in notices {
            match notice {
                Notice::File(path, stamp) => self.saw(path, Some(stamp), Sign::Written, now),
                Notice::Missing(path) => self.saw(path, None, Sign::Gone, now),
                Notice::Dir(path) => {
                    reshaped = true;
                    let is_home = self.survey.tree().dir(&path).is_some_and(|dir| dir.partial);
                    let noted =
                        if is_home { self.sync_home(&path, How::AGAIN) } else { self.survey.sync_one(&path) };
                    for (path, sign) in noted {
                        let stamp = stamp::look(&path).ok();
                        self.saw(path, stamp, sign, now);
                    }
                }
            }
        }
        if reshaped {
            self.refresh();
        }
    }

    /// A scan saw this; only if it is news does it prolong the burst.
    fn saw(&mut self, path: PathBuf, stamp: Option<Stamp>, sign: Sign, now: Instant) {
        if self.survey.filter.is_rule_file(&path) {
            self.rule_touched(path, now);
            return;
        }
        self.shared.hot.lock().unwrap_or_else(PoisonError::into_inner).count(&path);
        match stamp {
            Some(stamp) if self.seen.insert(path.clone(), stamp) == Some(stamp) => {}
            Some(_) => self.coalescer.push(path, sign, now),
            None => {
                self.seen.remove(&path);
                self.coalescer.push(path, Sign::Gone, now);
            }
        }
    }

    fn retry_if_due(&mut self, now: Instant) {
        if self.retry_at.is_none_or(|at| at > now) {
            return;
        }
        self.retry_at = None;
        let was_limited = self.survey.keeper.is_limited();
        let back = self.survey.recover();
        let notices = {
            let tree = self.survey.tree();
            scan(&back.iter().filter_map(|path| tree.dir(path)).collect::<Vec<_>>())
        };
        self.heed(notices, now);
        let readable = |dir: &&Dir| dir.unreadable && open_dir(&dir.path).is_ok();
        let readable: Vec<_> = {
            let tree = self.survey.tree();
            tree.dirs().filter(readable).map(|dir| dir.path.to_path_buf()).collect()
        };
        for path in readable {
            let noted = self.survey.sync(&path, How::ANEW);
            self.note(noted, now);
        }
        self.survey.limit_hit = false;
        if was_limited && !self.survey.keeper.is_limited() {
            self.anchor();
        }
        self.refresh();
        if was_limited && !self.survey.keeper.is_limited() {
            self.summary().roots.into_iter().for_each(|report| self.tell(Event::ModeChanged(report)));
        }
    }
}

/// Bursts that end.
impl Room {
    fn end_burst(&mut self, now: Instant) {
        if self.coalescer.deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        if self.is_held(now) || !self.is_scanned_through(now) {
            return;
        }
        let Some(burst) = self.coalescer.take(now) else { return };
        if burst.everything {
            self.coalescer.resume(burst, now);
            self.rescan(now);
            return;
        }
        let outcome = {
            let mut tree = self.shared.tree.lock().unwrap_or_else(PoisonError::into_inner);
            prove(&mut tree, &self.survey.filter, burst, &self.seen, self.means, now)
        };
        match outcome {
            Outcome::Unsettled(burst, unsettled) => {
                for path in &unsettled {
                    stamp::look(path).ok().map(|stamp| self.seen.insert(path.clone(), stamp));
                }
                self.coalescer.put_back(burst, unsettled, now);
            }
            Outcome::Proven(batch) => {
                self.seen.clear();
                if let Some(batch) = batch {
                    if self.has_scanned {
                        batch.changes.iter().for_each(|change| self.pace.changed(&change.path, now));
                    }
                    self.tell(Event::Changed(batch));
                }
                self.check_emptied(now);
            }
        }
    }

    /// While git is at work the burst goes on; that is said once.
    fn is_held(&mut self, now: Instant) -> bool {
        let since = self.hold.as_ref().map_or(now, |hold| hold.since);
        let waited = now.saturating_duration_since(since);
        let marker = self.survey.git.marker(SystemTime::now()).filter(|_| waited < LONGEST_HOLD);
        let Some(marker) = marker else {
            let was_held = self.hold.take().is_some();
            if was_held {
                // What git wrote last may still be on its way to us, or not have been scanned yet.
                self.coalescer.restart_quiet(now);
                if self.has_scanned {
                    self.scan_all(now);
                }
            }
            return was_held;
        };
        let said = self.hold.as_ref().is_some_and(|hold| hold.said);
        let say = !said && waited >= HOLD_SAID;
        self.hold = Some(Hold { since, next: now + HOLD_POLL, said: said || say });
        if say {
            self.tell(Event::WaitingForGit { marker });
        }
        true
    }

    /// If scans noticed much, it is over only when a last one finds nothing more.
    fn is_scanned_through(&mut self, now: Instant) -> bool {
        if self.has_scanned && self.seen.len() > 1 {
            self.scan_all(now);
        }
        self.coalescer.deadline().is_none_or(|deadline| deadline <= now)
    }

    /// Events were lost: watch with a new instance, and compare everything.
    fn rescan(&mut self, now: Instant) {
        self.survey.renew();
        for index in 0..self.roots.len() {
            self.roots[index].state = probe(&self.roots[index].path);
            let noted = self.enter_root(index, How::AGAIN);
            self.note(noted, now);
        }
        self.anchor();
        self.refresh();
        let files = self.survey.tree().files();
        self.tell(Event::Rescanned { files, took: now.elapsed() });
    }
}
