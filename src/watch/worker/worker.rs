//! The watch thread's loop.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use crate::Remedy;
use crate::change::{Batch, Change};
use crate::watch::event::Event;
use crate::watch::filter::Filter;
use crate::watch::fs::paths::split;
use crate::watch::fs::{FileKind, FileSignature};
use crate::watch::options::Options;
use crate::watch::queue::{Message, Queue, RawEvent, RawEventKind, WakeOn};
use crate::watch::shared::Shared;
use crate::watch::snapshot::{
    CompareOptions, Prefetch, ScanDiff, SnapshotSync, SyncMode, WatchRegistry, thread_cpu_time,
};

use super::burst::{BurstResult, BurstTracker};
use super::git_hold::{GitHold, HoldCheck};
use super::poller::Poller;
use super::reporter::Reporter;
use super::root_set::{RootCheck, RootSet};
use super::rule_files::RuleFiles;
use super::startup;
use super::tree::WatchedTree;

/// Delay before the summary is published after directories have come or gone, because thousands may follow.
const PUBLISH_DELAY: Duration = Duration::from_millis(20);
/// Number of paths in a burst from which a closed file is examined only at the end of the burst. Examining
/// each twice would cost as much as comparing it.
const MANY_PATHS: usize = 256;

/// The watch thread. It owns everything but the queue and the shared state.
#[derive(Debug)]
pub(crate) struct Worker {
    queue: Arc<Queue>,
    shared: Arc<Shared>,
    reporter: Reporter,
    tree: WatchedTree,
    burst: BurstTracker,
    git_hold: GitHold,
    poller: Poller,
    compare_options: CompareOptions,
    prefetch: Option<Prefetch>,
    publish_at: Option<Instant>,
    /// A comparison of everything that the owner has not been informed of.
    rescan: Option<Rescan>,
}

/// A comparison of everything.
#[derive(Debug)]
struct Rescan {
    files: usize,
    took: Duration,
}

/// What the snapshot has at the path of an event.
#[derive(Debug, Clone, Copy)]
struct KnownPath {
    is_dir: bool,
    is_file: bool,
    /// The parent has only files that are roots.
    is_beside_root: bool,
}

impl Worker {
    /// Places the watches and takes the snapshot. `events` are the events of the watch.
    pub(crate) fn start(
        options: &Options,
        filter: Arc<Filter>,
        roots: RootSet,
        queue: Arc<Queue>,
        shared: Arc<Shared>,
        events: UnboundedSender<Event>,
    ) -> Self {
        let root_paths = roots.paths().map(Path::to_owned).collect();
        let watches = WatchRegistry::new(options.mode, Arc::clone(&queue), root_paths);
        let sync = SnapshotSync::new(shared.snapshot_handle(), filter, watches);
        let compare_options = CompareOptions::new(options);
        let mut worker = Self {
            queue,
            reporter: Reporter::new(options, Arc::clone(&shared), events),
            shared,
            tree: WatchedTree::new(sync, roots, RuleFiles::new(&options.rules)),
            burst: BurstTracker::new(options.debounce, compare_options),
            git_hold: GitHold::default(),
            poller: Poller::new(options.poll_interval, Instant::now()),
            compare_options,
            prefetch: None,
            publish_at: None,
            rescan: None,
        };
        let events = worker.tree.walk_first();
        worker.accept(events, Instant::now());
        startup::settle_racy_files(worker.tree.sync(), compare_options);
        worker.publish();
        worker.reporter.report_defects(&worker.tree.sync().filter().rules().defects());
        worker
    }

    /// Runs until the queue says stop, or the owner is gone.
    pub(crate) fn run(mut self) {
        self.prefetch();
        while !self.reporter.is_closed() {
            let gathers =
                self.burst.debouncer().can_gather_until_deadline() && !self.tree.rule_files().has_edits();
            let wake_on = if gathers { WakeOn::Request } else { WakeOn::AnyMessage };
            for (message, at) in self.queue.dequeue(self.deadline(), wake_on) {
                match message {
                    Message::Event(event) => self.handle_event(event, at),
                    Message::EventsLost | Message::Rescan => {
                        tracing::debug!("events may be missing: rescan");
                        self.burst.debouncer_mut().require_rescan(at);
                    }
                    Message::GenerationStarted => self.burst.debouncer_mut().generation_started(at),
                    Message::Stop => return self.close(),
                }
            }
            if self.publish_at.is_some_and(|at| at <= Instant::now()) || self.tree.sync().is_limit_hit() {
                self.publish();
            }
            self.reload_rules_if_due(Instant::now());
            self.scan_if_due(Instant::now());
            self.retry_if_due(Instant::now());
            self.burst.check_in_progress(Instant::now());
            self.end_burst_if_due(Instant::now());
        }
        self.close();
    }

    fn close(self) {
        drop(self.prefetch);
        self.tree.close();
    }

    /// The time of the next task; `None` if an event must come first, so that an idle watch costs nothing.
    fn deadline(&self) -> Option<Instant> {
        let burst = self.burst.debouncer().deadline();
        // A burst that is held back gathers events until its own deadline at least.
        let burst =
            burst.map(|deadline| self.git_hold.deadline().map_or(deadline, |next| next.max(deadline)));
        let others = [
            self.burst.next_check(),
            self.tree.rule_files().deadline(),
            self.poller.deadline(),
            self.publish_at,
        ];
        burst.into_iter().chain(others.into_iter().flatten()).min()
    }

    /// Takes an event of the source.
    fn handle_event(&mut self, event: RawEvent, at: Instant) {
        self.reporter.count_event(&event.path);
        tracing::trace!(path = ?event.path, kind = ?event.kind, "fs event");
        if self.handle_root_event(&event.path, at) || self.handle_rule_file_event(&event.path, at) {
            return;
        }
        if self.burst.debouncer().needs_rescan() {
            // The rescan will compare this path too.
            self.burst.debouncer_mut().require_rescan(at);
            return;
        }
        self.burst.stop_waiting(&event.path);
        let Some(known) = self.known_path(&event.path) else { return };
        let is_close_of_many = event.kind == RawEventKind::Closed
            && self.burst.debouncer().len() >= MANY_PATHS
            && known.is_file
            && !known.is_dir;
        if is_close_of_many {
            tracing::debug!(path = ?event.path, "file waits for the end of a large burst");
            self.burst.add_unexamined(event, at);
            return;
        }
        let found = FileSignature::of_path(&event.path).ok();
        if known.is_dir && found.is_none_or(|found| found.kind() != FileKind::Dir) {
            let events = self.tree.sync_mut().mark_missing_below(&event.path);
            self.accept(events, at);
            self.publish_soon(at);
        }
        match found {
            Some(found) if found.kind() == FileKind::Dir => self.handle_dir(&event.path, known, at),
            Some(found) if found.has_content() => self.handle_file(event, known, found, at),
            _ => self.handle_missing(event, known, at),
        }
    }

    /// Takes an event for a root, or a path above one. Returns whether the event needs nothing more.
    fn handle_root_event(&mut self, path: &Path, at: Instant) -> bool {
        let check = self.tree.check_root_path(path);
        let has_changed = check.has_changed;
        self.take_root_check(check, at);
        // The path may also belong to the tree of another root.
        let snapshot = self.tree.sync().snapshot();
        let is_in_tree = || {
            let parent = path.parent().and_then(|parent| snapshot.dir(parent));
            parent.is_some_and(|dir| !dir.has_root_files_only())
        };
        has_changed && !is_in_tree()
    }

    /// Takes an event for a rule file, or a directory above one. Returns whether the event needs nothing
    /// more.
    fn handle_rule_file_event(&mut self, path: &Path, at: Instant) -> bool {
        let is_outside = self.tree.rule_files().is_outside(path);
        if is_outside {
            self.tree.rule_files_mut().update_outside(path);
        } else if self.tree.rule_files().has_outside_below(path) {
            // Rule files may have come or gone with this directory.
            let events = self.tree.update_anchors();
            self.accept(events, Instant::now());
        }
        let is_rule_file = is_outside || self.tree.sync().filter().is_rule_file(path);
        if is_rule_file {
            self.tree.rule_files_mut().add_edit(path.to_owned(), at);
        }
        is_rule_file
    }

    /// Looks the path of an event up in the snapshot. Returns `None` if the event is to be ignored.
    fn known_path(&self, path: &Path) -> Option<KnownPath> {
        let (parent, name) = split(path)?;
        let sync = self.tree.sync();
        let known =
            sync.snapshot().dir(parent).map(|dir| (dir.has_root_files_only(), dir.file(name).is_some()));
        let Some((is_beside_root, is_file)) = known else {
            self.ignore(path, "directory not watched");
            return None;
        };
        if is_beside_root && !sync.filter().is_always(path) {
            self.ignore(path, "only a root in this directory is watched");
            return None;
        }
        let is_dir = sync.snapshot().dir(path).is_some();
        Some(KnownPath { is_dir, is_file, is_beside_root })
    }

    /// A directory was created, moved or changed.
    fn handle_dir(&mut self, path: &Path, known: KnownPath, at: Instant) {
        if known.is_file {
            let removed = RawEvent::new(path.to_owned(), RawEventKind::Removed);
            self.burst.debouncer_mut().push(removed, at);
        }
        // The rules may have been read before the directory existed.
        self.tree.sync().forget_rules(path);
        let counts = !known.is_beside_root && self.tree.sync().filter().counts_dir(path);
        tracing::debug!(?path, counts, "directory created or changed");
        if counts {
            let events = self.tree.sync_mut().sync(path, SyncMode::Rewatch);
            self.accept(events, at);
            self.publish_soon(at);
        }
    }

    /// A file exists.
    fn handle_file(&mut self, event: RawEvent, known: KnownPath, found: FileSignature, at: Instant) {
        let filter = self.tree.sync().filter();
        if !known.is_file && !filter.counts_file(&event.path) {
            filter.stats().add_event_ignored();
            tracing::debug!(path = ?event.path, why = filter.why_not(&event.path), "no change");
            return;
        }
        // Symbolic and hard links are complete as soon as they exist.
        let is_open =
            event.kind == RawEventKind::Created && found.kind() == FileKind::File && !found.has_other_names();
        let kind = if is_open { RawEventKind::Created } else { RawEventKind::Written };
        tracing::debug!(path = ?event.path, ?kind, "file waits for the end of the burst");
        self.burst.add(RawEvent::new(event.path, kind), Some(found), at);
    }

    /// Nothing with content exists at the path.
    fn handle_missing(&mut self, event: RawEvent, known: KnownPath, at: Instant) {
        if known.is_file {
            tracing::debug!(path = ?event.path, "file removed: a change if it is missing at the end of the burst");
            self.burst.add(RawEvent::new(event.path, RawEventKind::Removed), None, at);
        } else {
            self.ignore(&event.path, "created and removed, or no file");
            self.burst.debouncer_mut().withdraw(&event.path);
        }
    }

    fn ignore(&self, path: &Path, why: &str) {
        self.tree.sync().filter().stats().add_event_ignored();
        tracing::debug!(?path, why, "no change");
    }

    /// Adds differences from the snapshot to the burst, and rule files to the edits.
    fn accept(&mut self, events: Vec<RawEvent>, at: Instant) {
        for event in events {
            if self.tree.sync().filter().is_rule_file(&event.path) {
                self.tree.rule_files_mut().add_edit(event.path, at);
            } else {
                self.burst.debouncer_mut().push(event, at);
            }
        }
    }

    fn take_root_check(&mut self, check: RootCheck, at: Instant) {
        self.accept(check.events, at);
        if check.needs_anchors {
            self.publish();
        }
    }

    /// Makes edited rules take effect, once their files are at rest.
    fn reload_rules_if_due(&mut self, now: Instant) {
        let Some(edit) = self.tree.take_due_edit(now) else { return };
        let pending: HashSet<_> = self.burst.pending_paths().collect();
        let events = self.tree.apply_rules(&edit, pending, now);
        self.accept(events, edit.last());
        self.burst.withdraw_ignored(self.tree.sync());
        let events = self.tree.update_anchors();
        self.accept(events, Instant::now());
        self.publish();
        self.prefetch();
        let defects = self.tree.sync().filter().rules().defects();
        let (files, summary) = (edit.files().iter().cloned().collect(), self.reporter.summary());
        self.reporter.send(Event::RulesReloaded { files, defects, summary });
    }

    /// Scans the directories without a watch, or the recently changed paths, if that is due.
    fn scan_if_due(&mut self, now: Instant) {
        if !self.poller.is_active() {
            return;
        }
        if self.poller.schedule_mut().is_scan_due(now) {
            self.scan_all();
            return;
        }
        let diffs = self.poller.quick_scan(self.tree.sync(), now);
        self.take_scan(diffs, Instant::now());
    }

    fn scan_all(&mut self) {
        let before = thread_cpu_time();
        if !self.tree.sync().has_events() {
            let check = self.tree.check_moved_roots();
            self.take_root_check(check, Instant::now());
            self.tree.rule_files_mut().scan_outside();
        }
        let (diffs, cpu_time_elsewhere) = self.poller.scan(self.tree.sync());
        let cpu_time = thread_cpu_time().saturating_sub(before) + cpu_time_elsewhere;
        let ended = Instant::now();
        self.take_scan(diffs, ended);
        if let Some(interval) = self.poller.schedule_mut().finish_scan(ended, cpu_time) {
            let message = format!("scans take so much CPU time that they run only every {interval:.1?}");
            self.reporter.warn(message, Remedy::ScanLess);
        }
    }

    /// Adds the differences that a scan has found to the burst.
    fn take_scan(&mut self, diffs: Vec<ScanDiff>, now: Instant) {
        let (mut has_dir, mut has_root_file) = (false, false);
        for diff in diffs {
            match diff {
                ScanDiff::File(path, signature) => {
                    self.add_scanned(RawEvent::new(path, RawEventKind::Written), Some(signature), now)
                }
                ScanDiff::MissingFile(path) => {
                    self.add_scanned(RawEvent::new(path, RawEventKind::Removed), None, now);
                }
                ScanDiff::Dir(path) => {
                    has_dir = true;
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
        if has_dir {
            self.publish();
        }
    }

    fn add_scanned(&mut self, event: RawEvent, signature: Option<FileSignature>, now: Instant) {
        if self.tree.sync().filter().is_rule_file(&event.path) {
            self.tree.rule_files_mut().add_edit(event.path, now);
            return;
        }
        self.reporter.count_event(&event.path);
        self.burst.add_scanned(event, signature, now);
    }

    /// Tries to watch and read the directories that could not be watched or read, if that is due.
    fn retry_if_due(&mut self, now: Instant) {
        if !self.poller.take_due_retry(now) {
            return;
        }
        let was_limited = self.tree.sync().is_limited();
        let watched = self.tree.sync_mut().retry_watches();
        let diffs = self.poller.scan_dirs(self.tree.sync(), &watched);
        self.take_scan(diffs, now);
        for path in self.poller.readable_again(self.tree.sync()) {
            let events = self.tree.sync_mut().sync(&path, SyncMode::Rewatch);
            self.accept(events, now);
        }
        // The limit was reported before.
        self.tree.sync_mut().take_limit_hit();
        let has_recovered = was_limited && !self.tree.sync().is_limited();
        if has_recovered {
            let events = self.tree.update_anchors();
            self.accept(events, Instant::now());
        }
        self.publish();
        if has_recovered {
            self.reporter.report_modes();
        }
    }

    /// Compares the burst with the snapshot if it has ended.
    fn end_burst_if_due(&mut self, now: Instant) {
        let Some(deadline) = self.burst.debouncer().deadline() else {
            self.git_hold.clear();
            return;
        };
        if deadline > now || self.is_held_by_git(now) || !self.has_scan_settled(now) {
            return;
        }
        let Some(burst) = self.burst.debouncer_mut().take_ended(now) else { return };
        if burst.needs_rescan() {
            self.burst.debouncer_mut().requeue(burst);
            self.rescan(now);
            return;
        }
        match self.burst.compare(burst, self.tree.sync(), now) {
            BurstResult::Extended => {}
            BurstResult::NoChange => self.finish_burst(now),
            BurstResult::Changed(batch) => {
                self.remember(&batch, now);
                self.reporter.send(Event::Changed(batch));
                self.finish_burst(now);
            }
        }
    }

    fn finish_burst(&mut self, now: Instant) {
        self.burst.clear();
        let check = self.tree.check_emptied_roots();
        self.take_root_check(check, now);
        if let Some(Rescan { files, took }) = self.rescan.take() {
            self.reporter.send(Event::Rescanned { files, took });
        }
    }

    /// Whether the burst is to wait because git works.
    fn is_held_by_git(&mut self, now: Instant) -> bool {
        let sync = self.tree.sync();
        match self.git_hold.check(now, sync.git_lock(), || sync.is_behind()) {
            HoldCheck::Free => return false,
            HoldCheck::Held => {}
            HoldCheck::Announce(marker) => self.reporter.send(Event::WaitingForGit { marker }),
            HoldCheck::Ended => {
                // The last changes may not have been examined or scanned yet.
                self.burst.debouncer_mut().restart_quiet_time(now);
                if self.poller.is_active() {
                    self.scan_all();
                }
            }
        }
        true
    }

    /// Whether a further scan finds nothing more after scans have found several changes.
    fn has_scan_settled(&mut self, now: Instant) -> bool {
        if self.poller.is_active() && self.burst.recorded() > 1 {
            self.scan_all();
        }
        self.burst.debouncer().deadline().is_none_or(|deadline| deadline <= now)
    }

    /// Lets quick scans cover the paths of a batch, and follows its files in case they grow. Where there are
    /// events, these say when a file is complete.
    fn remember(&mut self, batch: &Batch, now: Instant) {
        if !self.poller.is_active() {
            return;
        }
        for Change { path, .. } in &batch.changes {
            self.poller.schedule_mut().add_changed(path, now);
        }
        self.burst.remember(batch, self.tree.sync(), now);
    }

    /// Compares everything with the disk, because events were lost.
    fn rescan(&mut self, now: Instant) {
        self.burst.stop_waiting_for_all(now);
        let events = self.tree.rescan();
        self.accept(events, now);
        self.publish();
        let files = self.tree.sync().snapshot().file_count();
        self.rescan = Some(Rescan { files, took: now.elapsed() });
    }

    fn publish_soon(&mut self, now: Instant) {
        self.publish_at.get_or_insert(now + PUBLISH_DELAY);
    }

    /// Publishes what is watched, decides whether scans are needed, and reports a limit that was hit.
    fn publish(&mut self) {
        self.publish_at = None;
        self.poller.update(self.tree.sync());
        self.reporter.publish(self.tree.sync(), self.tree.roots());
        if self.tree.sync_mut().take_limit_hit() {
            self.reporter.report_limit();
        }
    }

    /// Reads the files without a fingerprint in the background.
    fn prefetch(&mut self) {
        if self.prefetch.as_ref().is_none_or(Prefetch::is_done) {
            self.prefetch = Some(Prefetch::start(self.shared.snapshot_handle(), self.compare_options));
        }
    }
}
