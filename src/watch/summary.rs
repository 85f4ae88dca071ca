//! What is watched and how, reported from the snapshot: the summary.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::watch::event::{RootReport, Summary, Why};
use crate::watch::event_counts::EventCounts;
use crate::watch::options::Mode;
use crate::watch::snapshot::snapshot::{Coverage, Dir, Snapshot};
use crate::watch::source::mounts::Mounts;

/// What the room's thread shares with its owner, each behind a lock held for short.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) tree: Arc<Mutex<Snapshot>>,
    pub(crate) hot: Mutex<EventCounts>,
    pub(crate) plan: Mutex<SummaryContext>,
}

/// What is needed to tell, beside the snapshot.
#[derive(Debug, Default, Clone)]
pub(crate) struct SummaryContext {
    pub(crate) asked: Mode,
    /// Each with whether it is missing.
    pub(crate) roots: Vec<(PathBuf, bool)>,
    pub(crate) mounts: Arc<Mounts>,
    /// The directories watched beside the tree.
    pub(crate) anchors: usize,
}

impl SummaryContext {
    /// Counts everything.
    pub(crate) fn summary(&self, tree: &Snapshot) -> Summary {
        let there = || tree.dirs().filter(|dir| dir.coverage != Coverage::Missing);
        let watched = there().filter(|dir| dir.coverage == Coverage::Events).count();
        let mut roots = Vec::new();
        for (root, missing) in &self.roots {
            roots.extend(self.reports(tree, root, *missing));
        }
        Summary { files: tree.files(), directories: there().count(), watches: watched + self.anchors, roots }
    }

    /// One report per way in which a part of a root is watched; the root's own part first.
    fn reports(&self, tree: &Snapshot, root: &Path, missing: bool) -> Vec<RootReport> {
        let mut reports: Vec<RootReport> = Vec::new();
        let own = tree.dir(root).or_else(|| tree.file(root).and_then(|_| tree.dir(root.parent()?)));
        let (mode, why) = own.map_or((self.default_mode(root), Why::Missing), |dir| self.way(dir));
        let why = if missing { Why::Missing } else { why };
        reports.push(RootReport { path: root.to_owned(), mode, why, files: 0, directories: 0 });
        if tree.dir(root).is_none() {
            reports[0].files = usize::from(tree.file(root).is_some());
            return reports;
        }
        for dir in tree.dirs().filter(|dir| dir.coverage != Coverage::Missing && dir.path.starts_with(root)) {
            let (mode, why) = self.way(dir);
            let at = reports.iter().position(|report| report.mode == mode && (report.why == why || missing));
            let report = match at {
                Some(at) => &mut reports[at],
                None => {
                    let path = self.mounts.of(&dir.path).filter(|mount| mount.starts_with(root));
                    let path = path.filter(|_| matches!(why, Why::NoEvents(_))).unwrap_or(root).to_owned();
                    reports.push(RootReport { path, mode, why, files: 0, directories: 0 });
                    let last = reports.len() - 1;
                    &mut reports[last]
                }
            };
            report.directories += 1;
            report.files += dir.files().len();
        }
        reports
    }

    fn default_mode(&self, root: &Path) -> Mode {
        match self.asked {
            Mode::Auto if self.mounts.without_events(root).is_some() => Mode::Stat,
            Mode::Auto => Mode::Event,
            asked => asked,
        }
    }

    fn way(&self, dir: &Dir) -> (Mode, Why) {
        match (dir.coverage, self.asked) {
            (Coverage::Events | Coverage::Missing, Mode::Auto) => (Mode::Event, Why::Local),
            (Coverage::Events | Coverage::Missing, asked) => (asked, Why::Asked),
            (Coverage::Polling, Mode::Stat) => (Mode::Stat, Why::Asked),
            (Coverage::Polling, _) if dir.unreadable => (Mode::Stat, Why::Unreadable),
            (Coverage::Polling, _) => {
                let without_events =
                    self.mounts.without_events(&dir.path).map(|system| Why::NoEvents(system.to_owned()));
                (
                    Mode::Stat,
                    without_events.unwrap_or_else(|| Why::Limit("fs.inotify.max_user_watches".into())),
                )
            }
        }
    }
}
