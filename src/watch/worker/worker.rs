//! What the room's thread owns, and what it tells. Decides nothing.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use crate::rules;

use crate::watch::debounce::debouncer::Debouncer;
use crate::watch::debounce::in_progress::InProgressWrites;
use crate::watch::debounce::poll_schedule::PollSchedule;
use crate::watch::event::{Event, Summary};
use crate::watch::fs::paths::PathMap;
use crate::watch::fs::signature::FileSignature;
use crate::watch::options::Mode;
use crate::watch::queue::EventQueue;
use crate::watch::snapshot::diff::{BurstState, CompareOptions};
use crate::watch::snapshot::prefetch::Prefetch;
use crate::watch::snapshot::snapshot::{Coverage, Dir};
use crate::watch::snapshot::sync::{PathEvent, SnapshotSync};
use crate::watch::summary::{Shared, SummaryContext};
use crate::watch::worker::root::{Root, State};

/// What depends on the tree's shape is counted again so long after it has changed.
const REFRESH: Duration = Duration::from_millis(20);
/// The longest that a burst is held back.
pub(super) const LONGEST_HOLD: Duration = Duration::from_secs(30);
/// What could not be watched or read is tried again after so long.
const RETRY: Duration = Duration::from_secs(5);
const RETRY_UNREADABLE: Duration = Duration::from_secs(30);

/// A burst that is held back.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) since: Instant,
    pub(super) next: Instant,
    pub(super) said: bool,
    /// Since when what held it back has ended.
    pub(super) over: Option<Instant>,
}

/// Everything the thread owns.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(super) queue: Arc<EventQueue>,
    pub(super) shared: Arc<Shared>,
    pub(super) out: UnboundedSender<Event>,
    pub(super) sync: SnapshotSync,
    pub(super) roots: Vec<Root>,
    pub(super) asked: Mode,
    pub(super) debouncer: Debouncer,
    pub(super) means: CompareOptions,
    pub(super) pace: PollSchedule,
    pub(super) seen: BurstState,
    pub(super) writing: InProgressWrites,
    /// Rule files that were touched, and when the first and the last of them was.
    pub(super) rule_edits: BTreeSet<PathBuf>,
    pub(super) rule_edits_at: Option<(Instant, Instant)>,
    /// Rule files that no watch or scan of a tree would see, and how they looked.
    pub(super) outside: PathMap<Option<FileSignature>>,
    /// The directories that those were ever seen in, or could have been.
    pub(super) homes: BTreeSet<PathBuf>,
    pub(super) rules: rules::Options,
    pub(super) hold: Option<Hold>,
    pub(super) retry_at: Option<Instant>,
    pub(super) refresh_at: Option<Instant>,
    pub(super) anchors: BTreeSet<PathBuf>,
    pub(super) reading: Option<Prefetch>,
    pub(super) has_scanned: bool,
    /// Everything was compared, so many files in so long; said once what that has brought is decided.
    pub(super) rescanned: Option<(usize, Duration)>,
}

impl Worker {
    pub(super) fn tell(&self, event: Event) {
        // Nobody listens: the loop ends at its next turn.
        let _ = self.out.send(event);
    }

    pub(super) fn note(&mut self, noted: Vec<PathEvent>, at: Instant) {
        for (path, sign) in noted {
            if self.sync.filter.is_rule_file(&path) {
                self.rule_touched(path, at);
            } else {
                self.debouncer.push(path, sign, at);
            }
        }
    }

    pub(super) fn rule_touched(&mut self, path: PathBuf, at: Instant) {
        self.rule_edits.insert(path);
        let first = self.rule_edits_at.map_or(at, |(first, _)| first);
        self.rule_edits_at = Some((first, at));
    }

    /// Directories have come or gone: that is counted soon, since thousands may be on their way.
    pub(super) fn reshaped(&mut self, now: Instant) {
        self.refresh_at.get_or_insert(now + REFRESH);
    }

    pub(super) fn refresh_if_due(&mut self, now: Instant) {
        if self.refresh_at.is_some_and(|at| at <= now) || self.sync.limit_hit {
            self.refresh();
        }
    }

    /// Counts again what depends on the tree's shape, and says if a limit was hit.
    pub(super) fn refresh(&mut self) {
        self.refresh_at = None;
        let (has_scanned, has_unreadable) = {
            let tree = self.sync.tree();
            let scanned = |dir: &Dir| dir.coverage == Coverage::Polling && !dir.unreadable;
            (tree.dirs().any(scanned), tree.dirs().any(|dir| dir.unreadable))
        };
        // Without events the roots themselves are looked at by scans.
        self.has_scanned = has_scanned || !self.sync.watches.has_events();
        let limited = self.sync.watches.is_limited();
        let retry = if limited { Some(RETRY) } else { has_unreadable.then_some(RETRY_UNREADABLE) };
        self.retry_at = retry.map(|retry| self.retry_at.unwrap_or_else(|| Instant::now() + retry));
        self.publish();
        if std::mem::take(&mut self.sync.limit_hit) {
            self.say_limited();
        }
    }

    pub(super) fn publish(&self) {
        let plan = SummaryContext {
            asked: self.asked,
            roots: self.roots.iter().map(|root| (root.path.clone(), root.state == State::Missing)).collect(),
            mounts: self.sync.watches.mounts(),
            anchors: self.anchors.len(),
        };
        *self.shared.plan.lock().unwrap_or_else(PoisonError::into_inner) = plan;
    }

    pub(super) fn summary(&self) -> Summary {
        let plan = self.shared.plan.lock().unwrap_or_else(PoisonError::into_inner).clone();
        plan.summary(&self.sync.tree())
    }

    pub(super) fn say_limited(&self) {
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
    pub(super) fn read_on(&mut self) {
        if self.reading.as_ref().is_none_or(Prefetch::is_done) {
            let tree = Arc::clone(&self.shared.tree);
            self.reading = Some(Prefetch::start(tree, self.means.how, self.means.limit));
        }
    }
}
