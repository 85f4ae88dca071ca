//! What is watched and how, told from the snapshot: the summary.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::watch::event::{RootReport, Summary, Why};
use crate::watch::event_counts::Hot;
use crate::watch::options::Mode;
use crate::watch::snapshot::snapshot::{Attention, Dir, Tree};
use crate::watch::source::mounts::Mounts;

/// What the room's thread shares with its owner, each behind a lock held for short.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) tree: Arc<Mutex<Tree>>,
    pub(crate) hot: Mutex<Hot>,
    pub(crate) plan: Mutex<Plan>,
}

/// What is needed to tell, beside the snapshot.
#[derive(Debug, Default, Clone)]
pub(crate) struct Plan {
    pub(crate) asked: Mode,
    /// Each with whether it is missing.
    pub(crate) roots: Vec<(PathBuf, bool)>,
    pub(crate) mounts: Arc<Mounts>,
    /// The directories watched beside the tree.
    pub(crate) anchors: usize,
}

impl Plan {
    /// Counts everything.
    pub(crate) fn summary(&self, tree: &Tree) -> Summary {
        let there = || tree.dirs().filter(|dir| dir.attention != Attention::Absent);
        let watched = there().filter(|dir| dir.attention == Attention::Watched).count();
        let mut roots = Vec::new();
        for (root, missing) in &self.roots {
            roots.extend(self.reports(tree, root, *missing));
        }
        Summary { files: tree.files(), directories: there().count(), watches: watched + self.anchors, roots }
    }

    /// One report per way in which a part of a root is watched; the root's own part first.
    fn reports(&self, tree: &Tree, root: &Path, missing: bool) -> Vec<RootReport> {
        let mut reports: Vec<RootReport> = Vec::new();
        let own = tree.dir(root).or_else(|| tree.file(root).and_then(|_| tree.dir(root.parent()?)));
        let (mode, why) = own.map_or((self.default_mode(root), Why::Missing), |dir| self.way(dir));
        let why = if missing { Why::Missing } else { why };
        reports.push(RootReport { path: root.to_owned(), mode, why, files: 0, directories: 0 });
        if tree.dir(root).is_none() {
            reports[0].files = usize::from(tree.file(root).is_some());
            return reports;
        }
        for dir in tree.dirs().filter(|dir| dir.attention != Attention::Absent && dir.path.starts_with(root))
        {
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
            Mode::Auto if self.mounts.silent(root).is_some() => Mode::Stat,
            Mode::Auto => Mode::Event,
            asked => asked,
        }
    }

    fn way(&self, dir: &Dir) -> (Mode, Why) {
        match (dir.attention, self.asked) {
            (Attention::Watched | Attention::Absent, Mode::Auto) => (Mode::Event, Why::Local),
            (Attention::Watched | Attention::Absent, asked) => (asked, Why::Asked),
            (Attention::Scanned, Mode::Stat) => (Mode::Stat, Why::Asked),
            (Attention::Scanned, _) if dir.unreadable => (Mode::Stat, Why::Unreadable),
            (Attention::Scanned, _) => {
                let silent = self.mounts.silent(&dir.path).map(|system| Why::NoEvents(system.to_owned()));
                (Mode::Stat, silent.unwrap_or_else(|| Why::Limit("fs.inotify.max_user_watches".into())))
            }
        }
    }
}
