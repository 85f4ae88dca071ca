//! The watch thread's loop.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::sync::mpsc::UnboundedSender;

use super::change_tracker::{BurstResult, ChangeTracker};
use super::poller::{Poller, ScanDiff, scan, thread_cpu_time};
use super::root::{Root, RootKind};
use super::syncs::Syncs;
use super::{rule_files::RuleFiles, tree::WatchedTree};
use crate::change::{Batch, Change};
use crate::rules::Defect;
use crate::watch::fs::TOO_LONG;
use crate::watch::git::{GitHold, HoldCheck};
use crate::watch::options::{Mode, Options};
use crate::watch::queue::{Message, Queue, RawEvent, RawEventKind, WakeOn};
use crate::watch::snapshot::{Coverage, Prefetch, SnapshotDir, SnapshotSync, WatchRegistry};
use crate::watch::stats::{RootPresence, Shared, SummaryContext};
use crate::watch::{event::Event, filter::Filter};
use crate::{Remedy, sync};

/// Maximum number of invalid rule lines with a warning of their own.
const MAX_DEFECT_WARNINGS: usize = 5;

/// The watch thread. It owns everything but the queue and the shared state.
#[derive(Debug)]
pub(crate) struct Worker {
    queue: Arc<Queue>,
    shared: Arc<Shared>,
    events: UnboundedSender<Event>,
    /// The configured mode.
    mode: Mode,
    /// The base directory, to which warnings name rule files.
    base: PathBuf,
    changes: ChangeTracker,
    git_hold: GitHold,
    poller: Poller,
    prefetch: Option<Prefetch>,
    syncs: Syncs,
    /// Number of bursts that were compared.
    bursts: u64,
    /// The owner was warned of paths that are too long.
    has_long_path_warning: bool,
    /// The report of a comparison of everything. It follows the changes that the comparison has found.
    rescanned: Option<Event>,
}

impl Worker {
    /// Places the watches and takes the snapshot. `events` are the events of the watch.
    pub(crate) fn start(
        options: &Options,
        filter: Arc<Filter>,
        roots: Vec<Root>,
        queue: Arc<Queue>,
        shared: Arc<Shared>,
        events: UnboundedSender<Event>,
    ) -> Self {
        let root_paths = roots.iter().map(|root| root.path.clone()).collect();
        let watches = WatchRegistry::new(options.mode, Arc::clone(&queue), root_paths);
        let sync = SnapshotSync::new(Arc::clone(&shared.snapshot), filter, watches);
        let tree = WatchedTree { sync, roots, rule_files: RuleFiles::new(options.rules.clone()) };
        let mut worker = Self {
            queue,
            events,
            mode: options.mode,
            base: options.rules.base.clone(),
            changes: ChangeTracker::new(options, tree, Arc::clone(&shared)),
            shared,
            git_hold: GitHold::default(),
            poller: Poller::new(options.poll_interval, Instant::now()),
            prefetch: None,
            syncs: Syncs::default(),
            bursts: 0,
            has_long_path_warning: false,
            rescanned: None,
        };
        let events = worker.changes.tree.walk_first();
        worker.changes.accept(events, Instant::now());
        worker.changes.tree.settle_racy_files(worker.changes.compare_options);
        worker.publish();
        worker.report_defects(&worker.sync().filter.rules.defects());
        worker
    }

    /// Runs until the queue says stop, or the owner is gone.
    pub(crate) fn run(mut self) {
        self.prefetch();
        while !self.events.is_closed() {
            let mut examined = HashSet::new();
            for (message, at) in self.queue.dequeue(self.deadline(), self.wake_on()) {
                match message {
                    // The directory was examined after this event: a storm of renames costs few walks.
                    Message::Event(event)
                        if self.is_known_dir(&event) && !examined.insert(event.path.clone()) => {}
                    Message::Event(event) => self.changes.handle_event(event, at),
                    Message::EventsLost | Message::Rescan => {
                        tracing::debug!("events may be missing: rescan");
                        self.changes.debouncer.require_rescan(at);
                    }
                    Message::Sync(id) => self.syncs.add(id),
                    Message::GenerationStarted => self.changes.debouncer.generation_started(at),
                    Message::Stop => return self.close(),
                }
            }
            self.begin_syncs(Instant::now());
            self.publish_if_due(Instant::now());
            self.reload_rules_if_due(Instant::now());
            self.scan_if_due(Instant::now());
            self.retry_if_due(Instant::now());
            self.changes.check_in_progress(Instant::now());
            // Once more, so that the summary is up to date when the owner receives the batch.
            self.publish_if_due(Instant::now());
            self.end_burst_if_due(Instant::now());
            self.answer_syncs(Instant::now());
        }
        self.close();
    }

    fn close(self) {
        drop(self.prefetch);
        self.changes.tree.sync.watches.close();
    }

    /// Whether the event says only that a directory of the snapshot may have changed.
    fn is_known_dir(&self, event: &RawEvent) -> bool {
        matches!(event.kind, RawEventKind::Written | RawEventKind::Removed)
            && self.sync().snapshot().dir(&event.path).is_some()
    }

    fn sync(&self) -> &SnapshotSync {
        &self.changes.tree.sync
    }

    /// Events need not wake the thread while they can hardly make the burst end earlier.
    fn wake_on(&self) -> WakeOn {
        let has_edits = self.changes.tree.rule_files.deadline().is_some();
        let can_gather = self.changes.debouncer.can_gather_until_deadline() && !has_edits;
        if can_gather { WakeOn::Request } else { WakeOn::AnyMessage }
    }

    /// The time of the next task; `None` if an event must come first, so that an idle watch costs nothing.
    fn deadline(&self) -> Option<Instant> {
        let burst = self.changes.debouncer.deadline();
        // A burst that is held back gathers events until its own deadline at least.
        let holds = [self.git_hold.deadline(), self.changes.tree.rule_files.deadline()];
        let burst = burst.map(|deadline| holds.into_iter().flatten().fold(deadline, Instant::max));
        let others = [self.changes.deadline(), self.poller.deadline()];
        burst.into_iter().chain(others.into_iter().flatten()).min()
    }

    /// Begins the new requests to bring the watch up to date, and hurries while one is pending.
    fn begin_syncs(&mut self, now: Instant) {
        if self.syncs.begin(self.bursts) {
            self.scan_dirs(|_| true);
            self.changes.take_in_progress(now);
        }
        if self.syncs.has_pending() {
            self.hurry(now);
        }
    }

    /// Lets the burst and edited rules end without a quiet time.
    fn hurry(&mut self, now: Instant) {
        self.changes.debouncer.hurry();
        self.changes.tree.rule_files.hurry(now);
    }

    /// Answers the requests before which everything was reported.
    fn answer_syncs(&mut self, now: Instant) {
        let deadlines = [self.changes.debouncer.deadline(), self.changes.deadline()];
        let (done, begins_pass) = self.syncs.take_done(self.bursts, deadlines == [None, None]);
        done.into_iter().for_each(|id| self.send(Event::Synced(id)));
        if begins_pass {
            self.changes.take_in_progress(now);
            self.hurry(now);
        }
    }

    /// Makes edited rules take effect, once their files are at rest.
    fn reload_rules_if_due(&mut self, now: Instant) {
        let tree = &mut self.changes.tree;
        let Some(edit) = tree.rule_files.take_due_edit(now, &tree.sync) else { return };
        self.changes.apply_rules(&edit, now);
        self.publish();
        self.prefetch();
        let defects = self.sync().filter.rules.defects();
        let (files, summary) = (edit.files.into_iter().collect(), self.shared.summary());
        self.send(Event::RulesReloaded { files, defects, summary });
    }

    /// Scans the directories without a watch, or the recently changed paths, if that is due.
    fn scan_if_due(&mut self, now: Instant) {
        if !self.poller.is_active() {
            return;
        }
        if self.poller.is_scan_due(now) {
            self.scan_all();
            return;
        }
        let mut diffs = self.poller.quick_scan(&self.changes.tree.sync, now);
        if !diffs.is_empty() {
            self.scan_linked_files(&mut diffs);
        }
        self.changes.take_scan(diffs, Instant::now());
    }

    /// Adds the roots that are links to files. After other paths, so that the change of a target in a tree is one
    /// batch with that of the link.
    fn scan_linked_files(&self, diffs: &mut Vec<ScanDiff>) {
        let linked = self.changes.tree.changed_linked_files().into_iter();
        diffs.extend(linked.map(|(path, signature)| ScanDiff::File(path, signature)));
    }

    fn scan_all(&mut self) {
        self.scan_dirs(|dir| dir.coverage == Coverage::Polling);
    }

    fn scan_dirs(&mut self, is_chosen: impl Fn(&SnapshotDir) -> bool + Sync) {
        let before = thread_cpu_time();
        if !self.sync().watches.has_events() {
            let check = self.changes.tree.check_moved_roots();
            self.changes.take_root_check(check, Instant::now());
            self.changes.tree.rule_files.scan_outside();
        }
        let (mut diffs, cpu_time_elsewhere) = scan(self.sync(), is_chosen);
        self.scan_linked_files(&mut diffs);
        let cpu_time = thread_cpu_time().saturating_sub(before) + cpu_time_elsewhere;
        let ended = Instant::now();
        self.changes.take_scan(diffs, ended);
        if self.poller.is_active()
            && let Some(interval) = self.poller.finish_scan(ended, cpu_time)
        {
            let message = format!("scans take so much CPU time that they run only every {interval:.1?}");
            self.warn(message, Remedy::ScanLess);
        }
    }

    /// Tries to watch and read the directories that could not be watched or read, if that is due.
    fn retry_if_due(&mut self, now: Instant) {
        if !self.poller.take_due_retry(now) {
            return;
        }
        let was_limited = self.sync().watches.is_limited();
        let watched = self.changes.tree.sync.retry_watches();
        let (diffs, _) = scan(self.sync(), |dir| watched.contains(&*dir.path));
        self.changes.take_scan(diffs, now);
        // The limit was reported before.
        self.changes.tree.sync.watches.limit_hit = false;
        let has_recovered = was_limited && !self.sync().watches.is_limited();
        if has_recovered {
            let events = self.changes.tree.update_anchors();
            self.changes.accept(events, Instant::now());
        }
        self.publish();
        if has_recovered {
            self.report_modes();
        }
    }

    /// Compares the burst with the snapshot if it has ended.
    fn end_burst_if_due(&mut self, now: Instant) {
        let Some(deadline) = self.changes.debouncer.deadline() else {
            self.git_hold.clear();
            return;
        };
        let waits = |worker: &mut Self| worker.is_held_by_git(now) || worker.waits_for_rules(now);
        if deadline > now || waits(self) || !self.has_scan_settled(now) {
            return;
        }
        let Some(burst) = self.changes.debouncer.take_ended(now) else { return };
        if burst.needs_rescan {
            self.changes.debouncer.requeue(burst);
            // Events were lost. The burst ends again once everything has been compared.
            self.changes.rescan(now);
            self.publish();
            let files = self.sync().snapshot().file_count();
            self.rescanned = Some(Event::Rescanned { files, took: now.elapsed() });
            return;
        }
        match self.changes.compare(burst, now) {
            BurstResult::Extended => {}
            BurstResult::NoChange => self.finish_burst(now),
            BurstResult::Changed(batch) => {
                self.remember(&batch, now);
                self.send(Event::Changed(batch));
                self.finish_burst(now);
            }
        }
    }

    fn finish_burst(&mut self, now: Instant) {
        self.bursts += 1;
        self.changes.finish_burst(now);
        self.publish_if_due(now);
        if let Some(event) = self.rescanned.take() {
            self.send(event);
        }
    }

    /// Makes edited rules take effect, because they may concern the paths of the burst: git writes the `.git` file of a
    /// linked worktree before its files. Returns whether the burst is to wait.
    fn waits_for_rules(&mut self, now: Instant) -> bool {
        if self.changes.tree.rule_files.deadline().is_none() {
            return false;
        }
        self.changes.tree.rule_files.hurry(now);
        self.reload_rules_if_due(now);
        let has_ended = self.changes.debouncer.deadline().is_some_and(|deadline| deadline <= now);
        !has_ended || self.changes.tree.rule_files.deadline().is_some()
    }

    /// Whether the burst is to wait because git works.
    fn is_held_by_git(&mut self, now: Instant) -> bool {
        let sync = &self.changes.tree.sync;
        match self.git_hold.check(now, sync.git.lock(SystemTime::now()), || sync.watches.is_behind()) {
            HoldCheck::Free => return false,
            HoldCheck::Held => {}
            HoldCheck::Announce(marker) => self.send(Event::WaitingForGit { marker }),
            HoldCheck::Ended => {
                // The last changes may not have been examined or scanned yet.
                self.changes.debouncer.restart_quiet_time(now);
                if self.poller.is_active() {
                    self.scan_all();
                }
            }
        }
        true
    }

    /// Whether a further scan finds nothing more after scans have found several changes, a new file, or a link,
    /// whose target may belong to a tree.
    fn has_scan_settled(&mut self, now: Instant) -> bool {
        let may_have_more = self.changes.recorded() > 1
            || self.changes.debouncer.has_new_file()
            || self.changes.has_root_link();
        if self.poller.is_active() && may_have_more {
            self.scan_all();
        }
        self.changes.debouncer.deadline().is_none_or(|deadline| deadline <= now)
    }

    /// Lets quick scans cover the paths of a batch, and follows its files in case they grow. Where there are
    /// events, these say when a file is complete.
    fn remember(&mut self, batch: &Batch, now: Instant) {
        if !self.poller.is_active() {
            return;
        }
        for Change { path, .. } in &batch.changes {
            self.poller.add_changed(path, now);
        }
        self.changes.remember(batch, now);
    }

    fn publish_if_due(&mut self, now: Instant) {
        if self.changes.publish_at.is_some_and(|at| at <= now) || self.sync().watches.limit_hit {
            self.publish();
        }
    }

    /// Publishes the context of the summary, decides whether to scan, and reports a limit if one was hit. Reads
    /// the unreadable directories that can be read now.
    fn publish(&mut self) {
        self.changes.publish_at = None;
        self.changes.read_opened_dirs();
        let tree = &mut self.changes.tree;
        self.poller.update(&tree.sync);
        let watches = &mut tree.sync.watches;
        let (mode, mounts, anchors) = (self.mode, Arc::clone(&watches.mounts), watches.anchor_count());
        let roots = tree
            .roots
            .iter()
            .map(|root| RootPresence { path: root.path.clone(), is_missing: root.kind == RootKind::Missing });
        *sync::lock(&self.shared.summary_context) =
            SummaryContext { mode, roots: roots.collect(), mounts, anchors };
        if std::mem::take(&mut watches.limit_hit) {
            self.report_limit();
        }
        self.report_long_path();
    }

    /// Reads the files without a fingerprint in the background.
    fn prefetch(&mut self) {
        if self.prefetch.as_ref().is_none_or(Prefetch::is_done) {
            self.prefetch =
                Some(Prefetch::start(Arc::clone(&self.shared.snapshot), self.changes.compare_options));
        }
    }

    /// Sends an event. If the owner is gone, the loop ends by itself.
    fn send(&self, event: Event) {
        let _ = self.events.send(event);
    }

    fn warn(&self, message: String, remedy: Remedy) {
        self.send(Event::Warning { message, remedy });
    }

    /// Warns that the limit of watches is used up, and reports the directories that are scanned instead.
    fn report_limit(&self) {
        let polled: Vec<_> =
            self.shared.summary().roots.into_iter().filter(|root| root.mode == Mode::Stat).collect();
        let directories: usize = polled.iter().map(|root| root.directories).sum();
        let message = format!(
            "the kernel's limit of file watches is used up: {directories} directories are scanned instead"
        );
        self.warn(message, Remedy::RaiseInotifyLimits);
        for report in polled {
            self.send(Event::ModeChanged(report));
        }
    }

    /// Warns of the first directory with paths that are too long for the kernel.
    fn report_long_path(&mut self) {
        let Some(dir) = self.changes.tree.sync.dir_of_long_path.take() else { return };
        if !std::mem::replace(&mut self.has_long_path_warning, true) {
            let dir = dir.strip_prefix(&self.base).unwrap_or(&dir).display();
            let message =
                format!("some paths have {TOO_LONG} bytes or more, so edits there are not seen: in {dir}");
            self.warn(message, Remedy::Text("use shorter names for the directories above".into()));
        }
    }

    /// Reports how each root is watched, because watches are available again.
    fn report_modes(&self) {
        for report in self.shared.summary().roots {
            self.send(Event::ModeChanged(report));
        }
    }

    /// Warns of rule lines that never match.
    fn report_defects(&self, defects: &[Defect]) {
        for defect in defects.iter().take(MAX_DEFECT_WARNINGS) {
            let mut relative = defect.clone();
            relative.source =
                relative.source.map(|file| file.strip_prefix(&self.base).map_or(file.clone(), PathBuf::from));
            self.warn(relative.to_string(), Remedy::CorrectRuleLine);
        }
        if let more @ 1.. = defects.len().saturating_sub(MAX_DEFECT_WARNINGS) {
            self.warn(format!("{more} more lines of rule files never match"), Remedy::ListRuleDefects);
        }
    }
}
