//! The walk over the directories that count. Reads no content.
//!
//! A directory is watched before it is listed, and listed before its files are examined, so that no change
//! during the walk is missed. Shallow directories come first: if watches are scarce, the deep ones go
//! without.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, OnceLock};
use std::time::SystemTime;

use rustix::fs::{Access, AtFlags, OFlags};
use rustix::io::Errno;

use super::snapshot::{Coverage, Extent, SnapshotDir, SnapshotFile};
use crate::sync;
use crate::watch::filter::Filter;
use crate::watch::fs::{DirListing, FileKind, FileSignature, Links, TOO_LONG, open_dir, open_dir_with};

const GIT: &str = ".git";
/// Number of waiting directories from which a second thread pays off. A third one gains nothing, because the
/// kernel's directory cache is the bottleneck.
const MIN_WAITING_FOR_THREAD: usize = 16;

#[derive(Debug, Default)]
pub(super) struct WalkResult {
    pub dirs: Vec<SnapshotDir>,
    /// Directories with a `.git` in them.
    pub repositories: Vec<PathBuf>,
    /// Directories that may have been replaced between their watch and their listing.
    pub replaced: Vec<PathBuf>,
}

/// A directory that waits to be visited.
#[derive(Debug)]
struct WalkItem {
    path: PathBuf,
    /// The start of the walk, which may be a symbolic link.
    is_start: bool,
    /// The parent has a watch, which reports a replacement of the directory.
    is_parent_watched: bool,
}

impl WalkItem {
    fn start(path: &Path) -> Self {
        Self { path: path.to_owned(), is_start: true, is_parent_watched: false }
    }
}

/// Watches a directory with this inode number. Returns `None` if the directory is gone.
pub(super) type PlaceWatch<'a> = dyn Fn(&Path, u64) -> Option<Coverage> + Sync + 'a;

/// Reads directories with a filter, and watches them.
pub(super) struct Walker<'a> {
    filter: &'a Filter,
    place_watch: &'a PlaceWatch<'a>,
    /// A directory with entries whose paths are too long.
    dir_of_long_path: &'a OnceLock<PathBuf>,
}

impl<'a> Walker<'a> {
    /// `dir_of_long_path` gets a directory whose entries have paths that are too long.
    pub(super) fn new(
        filter: &'a Filter,
        place_watch: &'a PlaceWatch<'a>,
        dir_of_long_path: &'a OnceLock<PathBuf>,
    ) -> Self {
        Self { filter, place_watch, dir_of_long_path }
    }

    /// Visits `start` and the directories below it that count.
    pub(super) fn walk(&self, start: &Path) -> WalkResult {
        let queue = WalkQueue::new(WalkItem::start(start));
        std::thread::scope(|scope| {
            let mut helper = None;
            let help = || self.work(&queue, || {});
            let mut result = self.work(&queue, || {
                helper.get_or_insert_with(|| std::thread::Builder::new().spawn_scoped(scope, help));
            });
            if let Some(Ok(helper)) = helper
                && let Ok(other) = helper.join()
            {
                result.dirs.extend(other.dirs);
                result.repositories.extend(other.repositories);
                result.replaced.extend(other.replaced);
            }
            result
        })
    }

    /// Visits one directory and none below it; `None` if the path is no directory.
    pub(super) fn read_one(&self, path: &Path) -> Option<WalkResult> {
        let (mut result, mut listing) = (WalkResult::default(), DirListing::default());
        self.visit(&WalkItem::start(path), &mut listing, &mut result);
        (!result.dirs.is_empty()).then_some(result)
    }

    /// Examines only these files of a directory; `None` if the path is no directory.
    pub(super) fn read_names(&self, path: &Path, names: &[PathBuf]) -> Option<SnapshotDir> {
        let open = open_dir(path).ok()?;
        let signature = FileSignature::of_open(&open).ok()?;
        let coverage = (self.place_watch)(path, signature.inode)?;
        let read_at = SystemTime::now();
        let names = names.iter().filter_map(|path| path.file_name());
        let files = names.filter_map(|name| read_file(&open, name, Links::Follow, read_at)).collect();
        let dir = SnapshotDir::new(path, signature, read_at, coverage).with_entries(files, Vec::new());
        Some(SnapshotDir { extent: Extent::RootFiles, ..dir })
    }

    /// Visits waiting directories until none can follow. Calls `need_help` while many wait.
    fn work(&self, queue: &WalkQueue, mut need_help: impl FnMut()) -> WalkResult {
        let (mut result, mut listing) = (WalkResult::default(), DirListing::default());
        while let Some(item) = queue.next() {
            let below = self.visit(&item, &mut listing, &mut result);
            if queue.finish(below) > MIN_WAITING_FOR_THREAD {
                need_help();
            }
        }
        result
    }

    /// Visits a directory. Returns the directories in it that count.
    fn visit(&self, item: &WalkItem, listing: &mut DirListing, result: &mut WalkResult) -> Vec<WalkItem> {
        let path = &*item.path;
        let flags = if item.is_start { OFlags::empty() } else { OFlags::NOFOLLOW };
        let open = match open_dir_with(path, flags) {
            Ok(open) => open,
            Err(error) => {
                result.dirs.extend(self.unreadable(path, error));
                return Vec::new();
            }
        };
        let Ok(signature) = FileSignature::of_open(&open) else { return Vec::new() };
        let read_at = SystemTime::now();
        // The kernel reports the removal of the directory separately.
        let Some(mut coverage) = (self.place_watch)(path, signature.inode) else { return Vec::new() };
        let extent = if listing.read(&open).is_ok() { Extent::All } else { Extent::Unreadable };
        let is_watched = coverage == Coverage::Events;
        if is_watched && !item.is_parent_watched && inode_of(path) != Some(signature.inode) {
            coverage = Coverage::Missing;
            result.replaced.push(path.to_owned());
        }
        let dir = SnapshotDir { extent, ..SnapshotDir::new(path, signature, read_at, coverage) };
        let dir = self.read_entries(dir, &open, read_at, listing);
        if !dir.is_excluded() && listing.iter().any(|(name, _)| name == GIT) {
            result.repositories.push(path.to_owned());
        }
        let is_parent_watched = coverage == Coverage::Events;
        let child = |name| WalkItem { path: path.join(name), is_start: false, is_parent_watched };
        let below = dir.dirs.iter().map(|name| child(&**name)).collect();
        result.dirs.push(dir);
        below
    }

    /// Adds the entries of an open directory that count. The directory was listed after `listed_at`.
    fn read_entries(
        &self,
        dir: SnapshotDir,
        open: &OwnedFd,
        listed_at: SystemTime,
        listing: &DirListing,
    ) -> SnapshotDir {
        let is_complete = !dir.is_unreadable();
        let filter = self.filter.within(&dir.path, &|name| !is_complete || listing.contains(name));
        let read_at = SystemTime::now();
        let (mut files, mut dirs, mut rule_files) =
            (Vec::with_capacity(listing.len()), Vec::new(), Vec::new());
        let mut full = dir.path.as_os_str().as_bytes().to_vec();
        if full.last() != Some(&b'/') {
            full.push(b'/');
        }
        let prefix = full.len();
        for (name, kind) in listing.iter() {
            full.truncate(prefix);
            full.extend_from_slice(name.as_bytes());
            let path = Path::new(OsStr::from_bytes(&full));
            if full.len() >= TOO_LONG {
                let _ = self.dir_of_long_path.set(dir.path.to_path_buf());
                continue;
            }
            let is_rule_file = filter.is_rule_file(path);
            if is_rule_file {
                rule_files.extend(read_rule_file(open, name, listed_at));
            }
            let examine =
                || FileSignature::of_entry(open, name, Links::Keep).ok().map(|signature| signature.kind);
            match kind.or_else(examine) {
                Some(FileKind::Dir) if filter.counts_dir(path) => dirs.push(name.into()),
                Some(kind) if kind.has_content() && !is_rule_file && filter.counts_file(path) => {
                    files.extend(read_file(open, name, filter.links(path), read_at));
                }
                _ => {}
            }
        }
        // Once per directory, because several threads update the counter.
        self.filter.stats.add_files_found(files.len());
        // Without the permission to search it, a directory shows names only.
        let is_searchable = || {
            !files.is_empty() || rustix::fs::accessat(open, ".", Access::EXEC_OK, AtFlags::empty()).is_ok()
        };
        let extent = match dir.extent {
            _ if filter.is_excluded() => Extent::Excluded,
            extent if is_searchable() => extent,
            _ => Extent::Unreadable,
        };
        SnapshotDir { extent, rule_files: rule_files.into(), ..dir.with_entries(files, dirs) }
    }

    /// A directory that cannot be opened, and is tried again later; `None` if it is gone.
    fn unreadable(&self, path: &Path, error: Errno) -> Option<SnapshotDir> {
        if matches!(error, Errno::NOENT | Errno::NOTDIR | Errno::LOOP) {
            return None;
        }
        // The slash makes the kernel follow a root that is a symbolic link.
        let signature = FileSignature::of_path(&path.join("")).ok()?;
        if signature.kind != FileKind::Dir {
            return None;
        }
        let coverage = (self.place_watch)(path, signature.inode)?;
        let dir = SnapshotDir::new(path, signature, SystemTime::now(), coverage);
        Some(SnapshotDir { extent: Extent::Unreadable, ..dir })
    }
}

/// The directories that wait to be visited, shared by the walking threads.
#[derive(Debug)]
struct WalkQueue {
    state: Mutex<QueueState>,
    arrival: Condvar,
}

#[derive(Debug)]
struct QueueState {
    waiting: VecDeque<WalkItem>,
    /// Number of directories that are being visited, and may bring more.
    busy: usize,
    idle: usize,
}

impl WalkQueue {
    fn new(first: WalkItem) -> Self {
        let state = QueueState { waiting: VecDeque::from([first]), busy: 0, idle: 0 };
        Self { state: Mutex::new(state), arrival: Condvar::new() }
    }

    /// The next directory to visit; `None` once no further one can follow.
    fn next(&self) -> Option<WalkItem> {
        let mut state = sync::lock(&self.state);
        loop {
            if let Some(next) = state.waiting.pop_front() {
                state.busy += 1;
                return Some(next);
            }
            if state.busy == 0 {
                return None;
            }
            state.idle += 1;
            state = sync::wait(&self.arrival, state);
            state.idle -= 1;
        }
    }

    /// Ends a visit that has found these directories. Returns the number of waiting directories.
    fn finish(&self, below: Vec<WalkItem>) -> usize {
        let mut state = sync::lock(&self.state);
        state.busy -= 1;
        state.waiting.extend(below);
        let waiting = state.waiting.len();
        if state.idle > 0 && (waiting > 0 || state.busy == 0) {
            self.arrival.notify_all();
        }
        waiting
    }
}

/// A relevant file; `None` if it is gone or has no content.
fn read_file(dir: &OwnedFd, name: &OsStr, links: Links, read_at: SystemTime) -> Option<SnapshotFile> {
    let signature = FileSignature::of_entry(dir, name, links).ok().filter(FileSignature::has_content)?;
    Some(SnapshotFile::new(name, signature, links, read_at))
}

/// A rule file. Of a repository's directory only the existence matters.
fn read_rule_file(dir: &OwnedFd, name: &OsStr, read_at: SystemTime) -> Option<SnapshotFile> {
    let signature = FileSignature::of_entry(dir, name, Links::Keep).ok()?;
    let file = SnapshotFile::new(name, signature, Links::Keep, read_at);
    let existence = file.signature.existence();
    Some(if name == GIT { SnapshotFile { signature: existence, is_racy: false, ..file } } else { file })
}

fn inode_of(path: &Path) -> Option<u64> {
    FileSignature::of_path(&path.join("")).ok().map(|signature| signature.inode)
}
