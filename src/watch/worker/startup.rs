//! The first look: watches are placed, and everything is taken as it is.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc::UnboundedSender;

use crate::watch::debounce::debouncer::Debouncer;
use crate::watch::debounce::in_progress::InProgressWrites;
use crate::watch::debounce::poll_schedule::PollSchedule;
use crate::watch::event::Event;
use crate::watch::filter::Filter;
use crate::watch::fs::paths::PathMap;
use crate::watch::fs::signature;
use crate::watch::options::Options;
use crate::watch::queue::EventQueue;
use crate::watch::snapshot::diff::{BurstState, CompareOptions};
use crate::watch::snapshot::fingerprint::{Comparison, FileComparer};
use crate::watch::snapshot::snapshot::Dir;
use crate::watch::snapshot::sync::{SnapshotSync, SyncMode};
use crate::watch::snapshot::watches::WatchRegistry;
use crate::watch::summary::Shared;
use crate::watch::worker::root::Root;
use crate::watch::worker::worker::Worker;

/// The tick by which older kernels signature files.
const TICK: Duration = Duration::from_millis(10);
/// So many bad lines of rule files are named at the start.
const TOLD_DEFECTS: usize = 5;
/// More files than this that were written just before the start are waited out rather than read at once.
const MANY_RACY: usize = 500;

impl Worker {
    /// Places the watches and takes the snapshot.
    pub(crate) fn open(
        options: &Options,
        filter: Arc<Filter>,
        roots: Vec<Root>,
        (queue, shared, out): (Arc<EventQueue>, Arc<Shared>, UnboundedSender<Event>),
    ) -> Self {
        let links = roots.iter().map(|root| root.path.clone()).collect();
        let watches = WatchRegistry::new(options.mode, Arc::clone(&queue), links);
        let sync = SnapshotSync::new(Arc::clone(&shared.tree), filter, watches);
        let mut worker = Self {
            queue,
            shared,
            out,
            sync,
            roots,
            asked: options.mode,
            debouncer: Debouncer::new(options.debounce),
            means: CompareOptions { how: options.compare, limit: options.content_limit },
            pace: PollSchedule::new(options.poll_interval, Instant::now()),
            seen: BurstState::default(),
            writing: InProgressWrites::default(),
            rule_edits: BTreeSet::new(),
            rule_edits_at: None,
            outside: PathMap::new(),
            homes: BTreeSet::new(),
            rules: options.rules.clone(),
            hold: None,
            retry_at: None,
            refresh_at: None,
            anchors: BTreeSet::new(),
            reading: None,
            has_scanned: false,
            rescanned: None,
        };
        worker.survey_all();
        worker.say_defects();
        worker
    }

    /// Lines that can never match are reported at the start too, not only after an edit: the rest of their files holds.
    fn say_defects(&self) {
        let defects = self.sync.filter.rules().defects();
        let base = self.rules.base.as_path();
        for defect in defects.iter().take(TOLD_DEFECTS) {
            let mut shown = defect.clone();
            shown.source =
                shown.source.map(|file| file.strip_prefix(base).map_or(file.clone(), PathBuf::from));
            let remedy = "correct the line or remove it; the other lines hold, and `devrun check` says more";
            self.tell(Event::Warning { message: shown.to_string(), remedy: remedy.into() });
        }
        if let more @ 1.. = defects.len().saturating_sub(TOLD_DEFECTS) {
            let message = format!("{more} more lines of rule files never match");
            self.tell(Event::Warning { message, remedy: "`devrun check` names them".into() });
        }
    }

    /// The first look: everything is taken as it is.
    fn survey_all(&mut self) {
        let mut entered = Vec::with_capacity(self.roots.len());
        for at in 0..self.roots.len() {
            let path = self.roots[at].path.clone();
            self.sync.git.add(&path);
            let begun = SystemTime::now();
            let touched = self.enter_root(at, SyncMode::INITIAL);
            entered.push((path, begun, touched));
        }
        self.anchor();
        let mut again = false;
        for (at, (path, begun, touched)) in entered.into_iter().enumerate() {
            if !touched.is_empty() || self.outside_changed_since(begun) {
                // Rules may have been read before the last write to them; now the watches are in place.
                touched.iter().filter_map(|(file, _)| file.parent()).for_each(|dir| self.sync.forget(dir));
                self.sync.forget(&path);
                if !self.sync.watches.has_events() {
                    // No event will tell of a further write within the same tick: let it pass.
                    std::thread::sleep(3 * TICK);
                }
                self.enter_root(at, SyncMode::INITIAL);
                again = true;
            }
        }
        if again {
            self.anchor();
        }
        // Without an instance no watch was even tried.
        self.sync.limit_hit |= self.sync.watches.is_limited();
        self.settle_racy();
        self.refresh();
    }

    /// Files written just before now could be written again without a difference in their stamps: read them while
    /// nobody depends on them yet, or, if they are many, wait until the clock has moved on.
    fn settle_racy(&mut self) {
        let racy: Vec<PathBuf> = {
            let tree = self.sync.tree();
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
        let mut comparer = FileComparer::new(self.means.how, self.means.limit);
        for path in racy {
            let found = if many { None } else { Some(comparer.prove(&path, None, false)) };
            let signature = if many { signature::look(&path).ok() } else { None };
            let mut tree = self.sync.tree();
            let Some(file) = tree.file_mut(&path) else { continue };
            match (found, signature) {
                (Some(Comparison::Changed(entry)), _) => *file = entry,
                (_, Some(signature)) if signature.kind.has_content() => {
                    (file.signature, file.racy) = (signature, signature.is_racy(SystemTime::now()));
                }
                _ => {}
            }
        }
    }
}
