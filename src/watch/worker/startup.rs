//! The first look: watches are placed, and everything is taken as it is.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc::UnboundedSender;

use crate::watch::debounce::debouncer::Coalescer;
use crate::watch::debounce::in_progress::Writing;
use crate::watch::debounce::poll_schedule::Pace;
use crate::watch::event::Event;
use crate::watch::filter::Filter;
use crate::watch::fs::paths::PathMap;
use crate::watch::fs::signature;
use crate::watch::options::Options;
use crate::watch::queue::Inbox;
use crate::watch::snapshot::diff::{Means, Seen};
use crate::watch::snapshot::fingerprint::{Comparer, Proof};
use crate::watch::snapshot::snapshot::Dir;
use crate::watch::snapshot::sync::{How, Survey};
use crate::watch::snapshot::watches::Keeper;
use crate::watch::summary::Shared;
use crate::watch::worker::root::Root;
use crate::watch::worker::worker::Room;

/// The tick by which older kernels stamp files.
const TICK: Duration = Duration::from_millis(10);
/// So many bad lines of rule files are named at the start.
const TOLD_DEFECTS: usize = 5;
/// More files than this that were written just before the start are waited out rather than read at once.
const MANY_RACY: usize = 500;

impl Room {
    /// Places the watches and takes the snapshot; `nearly` is called when little of that is left.
    pub(crate) fn open(
        options: &Options,
        (filter, roots, mut keeper): (Arc<Filter>, Vec<Root>, Keeper),
        (inbox, shared, out): (Arc<Inbox>, Arc<Shared>, UnboundedSender<Event>),
        nearly: impl FnOnce(),
    ) -> Self {
        keeper.aim(options.mode, roots.iter().map(|root| root.path.clone()).collect());
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
            seen: Seen::default(),
            writing: Writing::default(),
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
        room.survey_all(nearly);
        room.say_defects();
        room
    }

    /// Lines that can never match are told at the start too, not only after an edit: the rest of their files holds.
    fn say_defects(&self) {
        let defects = self.survey.filter.rules().defects();
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
    fn survey_all(&mut self, nearly: impl FnOnce()) {
        let mut entered = Vec::with_capacity(self.roots.len());
        for at in 0..self.roots.len() {
            let path = self.roots[at].path.clone();
            self.survey.git.add(&path);
            let begun = SystemTime::now();
            let touched = self.enter_root(at, How::FIRST);
            entered.push((path, begun, touched));
        }
        nearly();
        self.anchor();
        let mut again = false;
        for (at, (path, begun, touched)) in entered.into_iter().enumerate() {
            if !touched.is_empty() || self.outside_changed_since(begun) {
                // Rules may have been read before the last write to them; now the watches are in place.
                touched.iter().filter_map(|(file, _)| file.parent()).for_each(|dir| self.survey.forget(dir));
                self.survey.forget(&path);
                if !self.survey.keeper.has_events() {
                    // No event will tell of a further write within the same tick: let it pass.
                    std::thread::sleep(3 * TICK);
                }
                self.enter_root(at, How::FIRST);
                again = true;
            }
        }
        if again {
            self.anchor();
        }
        // Without an instance no watch was even tried.
        self.survey.limit_hit |= self.survey.keeper.is_limited();
        self.settle_racy();
        self.refresh();
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
            let found = if many { None } else { Some(comparer.prove(&path, None, false)) };
            let stamp = if many { signature::look(&path).ok() } else { None };
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
}
