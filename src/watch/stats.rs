//! Numbers of a watch: counters for display, the summary of what is watched and how, and the state behind them
//! that the watch thread shares with its owner.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::snapshot::{Coverage, Snapshot, SnapshotDir};
use super::{fs::PathMap, options::Mode, source::Mounts};
use crate::sync;

/// Maximum number of paths with a counter of their own.
const MAX_COUNTED_PATHS: usize = 4096;

/// Counters of a watch, readable while it works. Clones share the counters.
#[derive(Debug, Clone, Default)]
pub struct Stats(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    files_found: AtomicUsize,
    events_ignored: AtomicU64,
}

impl Stats {
    /// Number of relevant files that walks have found so far. Shows the progress of the first walk.
    #[must_use]
    pub fn files_found(&self) -> usize {
        self.0.files_found.load(Ordering::Relaxed)
    }

    /// Number of events without a change: on ignored paths, or with the same content as before.
    #[must_use]
    pub fn events_ignored(&self) -> u64 {
        self.0.events_ignored.load(Ordering::Relaxed)
    }

    pub(crate) fn add_files_found(&self, files: usize) {
        self.0.files_found.fetch_add(files, Ordering::Relaxed);
    }

    pub(crate) fn add_event_ignored(&self) {
        self.0.events_ignored.fetch_add(1, Ordering::Relaxed);
    }
}

/// Events per path, for a bounded number of paths.
#[derive(Debug, Default)]
pub(crate) struct EventCounts {
    counts: PathMap<u64>,
}

impl EventCounts {
    /// Counts an event for a path.
    pub(crate) fn add(&mut self, path: &Path) {
        if let Some(count) = self.counts.get_mut(path.as_os_str()) {
            *count += 1;
            return;
        }
        if self.counts.len() >= MAX_COUNTED_PATHS {
            self.drop_lower_half();
        }
        self.counts.insert(path.into(), 1);
    }

    /// The `limit` paths with the most events, most first, then by path.
    pub(crate) fn busiest(&self, limit: usize) -> Vec<(PathBuf, u64)> {
        let mut all: Vec<(PathBuf, u64)> =
            self.counts.iter().map(|(path, count)| (path.into(), *count)).collect();
        all.sort_unstable_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        all.truncate(limit);
        all
    }

    /// Drops the paths with the fewest events, so that busy paths keep their counters.
    fn drop_lower_half(&mut self) {
        let mut counts: Vec<_> = self.counts.values().copied().collect();
        let middle = counts.len() / 2;
        let (_, median, _) = counts.select_nth_unstable(middle);
        let median = *median;
        self.counts.retain(|_, count| *count > median);
    }
}

/// The files and directories that are watched, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Summary {
    /// Number of relevant files.
    pub files: usize,
    /// Number of directories that count.
    pub directories: usize,
    /// Number of kernel watches.
    pub watches: usize,
    /// How each root is watched.
    pub roots: Vec<RootReport>,
}

/// How a root, or a part of it, is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RootReport {
    /// The root, or the directory below it from which another mode applies. Absolute.
    pub path: PathBuf,
    /// [`Mode::Event`] or [`Mode::Stat`], never [`Mode::Auto`].
    pub mode: Mode,
    /// The reason for the mode.
    pub why: Why,
    /// Number of relevant files.
    pub files: usize,
    /// Number of directories that count.
    pub directories: usize,
}

/// Why a root is watched in its mode.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// [`Options::mode`](super::Options::mode) asks for it.
    Asked,
    /// The file system is local, so events work.
    Local,
    /// The file system, given by its name, is a network or shared one and reports no events.
    NoEvents(String),
    /// The kernel limit with this name is used up.
    Limit(String),
    /// The directory is not readable. It is tried again from time to time.
    Unreadable,
    /// The root does not exist.
    Missing,
}

impl fmt::Display for Why {
    /// `asked`, `local`, `no-events: nfs`, `limit: …`, `unreadable` or `missing`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("asked"),
            Self::Local => f.write_str("local"),
            Self::NoEvents(system) => write!(f, "no-events: {system}"),
            Self::Limit(limit) => write!(f, "limit: {limit}"),
            Self::Unreadable => f.write_str("unreadable"),
            Self::Missing => f.write_str("missing"),
        }
    }
}

/// The state that the watch thread shares with its owner. Each part has its own lock, which is held briefly.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) snapshot: Arc<Mutex<Snapshot>>,
    pub(crate) event_counts: Mutex<EventCounts>,
    pub(crate) summary_context: Mutex<SummaryContext>,
}

impl Shared {
    /// The current summary.
    pub(crate) fn summary(&self) -> Summary {
        let context = sync::lock(&self.summary_context).clone();
        let snapshot = &sync::lock(&self.snapshot);
        let watched = snapshot.dirs().filter(|dir| dir.coverage == Coverage::Events).count();
        Summary {
            files: snapshot.file_count(),
            directories: snapshot.dirs().filter(|dir| dir.is_present()).count(),
            watches: watched + context.anchors,
            roots: context.roots.iter().flat_map(|root| context.reports(snapshot, root)).collect(),
        }
    }
}

/// The input of a [`Summary`] that the snapshot does not have.
#[derive(Debug, Default, Clone)]
pub(crate) struct SummaryContext {
    /// The configured mode.
    pub(crate) mode: Mode,
    pub(crate) roots: Vec<RootPresence>,
    pub(crate) mounts: Arc<Mounts>,
    /// Number of watches outside the trees.
    pub(crate) anchors: usize,
}

/// A root, and whether it exists.
#[derive(Debug, Clone)]
pub(crate) struct RootPresence {
    pub(crate) path: PathBuf,
    pub(crate) is_missing: bool,
}

impl SummaryContext {
    /// One report per mode and reason within a root. The report of the root directory itself comes first.
    fn reports(&self, snapshot: &Snapshot, root: &RootPresence) -> Vec<RootReport> {
        let mut reports = vec![self.own_report(snapshot, root)];
        let is_missing = root.is_missing;
        if snapshot.dir(&root.path).is_none() {
            reports[0].files = usize::from(snapshot.file(&root.path).is_some());
            return reports;
        }
        for dir in snapshot.dirs().filter(|dir| dir.is_present() && dir.path.starts_with(&root.path)) {
            let (mode, why) = self.mode_of(dir);
            let same =
                reports.iter().position(|report| report.mode == mode && (report.why == why || is_missing));
            let index = same.unwrap_or_else(|| {
                let path = self.start_of(dir, &why, &root.path);
                reports.push(RootReport { path, mode, why, files: 0, directories: 0 });
                reports.len() - 1
            });
            reports[index].directories += 1;
            reports[index].files += dir.files.len();
        }
        reports
    }

    fn own_report(&self, snapshot: &Snapshot, root: &RootPresence) -> RootReport {
        let path = root.path.clone();
        let home = || snapshot.file(&path).and_then(|_| snapshot.dir(path.parent()?));
        let dir = snapshot.dir(&path).or_else(home);
        let (mode, why) = dir.map_or((self.default_mode(&path), Why::Missing), |dir| self.mode_of(dir));
        let why = if root.is_missing { Why::Missing } else { why };
        RootReport { path, mode, why, files: 0, directories: 0 }
    }

    /// The directory from which a mode applies: the mount below the root for file systems without events.
    fn start_of(&self, dir: &SnapshotDir, why: &Why, root: &Path) -> PathBuf {
        let mount = self.mounts.mount_of(&dir.path).filter(|mount| mount.starts_with(root));
        mount.filter(|_| matches!(why, Why::NoEvents(_))).unwrap_or(root).to_owned()
    }

    fn default_mode(&self, root: &Path) -> Mode {
        match self.mode {
            Mode::Auto if self.mounts.without_events(root).is_some() => Mode::Stat,
            Mode::Auto => Mode::Event,
            configured => configured,
        }
    }

    fn mode_of(&self, dir: &SnapshotDir) -> (Mode, Why) {
        match (dir.coverage, self.mode) {
            (Coverage::Events | Coverage::Missing, Mode::Auto) => (Mode::Event, Why::Local),
            (Coverage::Events | Coverage::Missing, configured) => (configured, Why::Asked),
            (Coverage::Polling, Mode::Stat) => (Mode::Stat, Why::Asked),
            (Coverage::Polling, _) if dir.is_unreadable() => (Mode::Stat, Why::Unreadable),
            (Coverage::Polling, _) => match self.mounts.without_events(&dir.path) {
                Some(file_system) => (Mode::Stat, Why::NoEvents(file_system.to_owned())),
                None => (Mode::Stat, Why::Limit("fs.inotify.max_user_watches".into())),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_path_keeps_its_counter_among_many_others() {
        let mut counts = EventCounts::default();
        for number in 0..3 * MAX_COUNTED_PATHS {
            counts.add(format!("/{number}").as_ref());
            counts.add("/log".as_ref());
        }
        assert_eq!(counts.busiest(1), [("/log".into(), 3 * MAX_COUNTED_PATHS as u64)]);
        assert!(counts.counts.len() <= MAX_COUNTED_PATHS);
    }
}
