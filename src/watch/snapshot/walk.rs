//! The pruned walk: finds the directories that count and the relevant files in them. Reads no content.
//!
//! Nothing that happens meanwhile is missed: each directory is watched before it is listed, and listed before its files
//! are looked at. Shallow directories come first, so that the deep ones go without where watches are scarce.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::SystemTime;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::sync;

use crate::watch::filter::Filter;
use crate::watch::fs::read_dir::{DirListing, open_dir, open_with};
use crate::watch::fs::signature::{self, FileSignature, Kind};
use crate::watch::snapshot::snapshot::{Coverage, Dir, Entry};

/// What makes a directory a repository.
const GIT: &str = ".git";
/// While no more directories than this wait, a second thread costs more than it brings; a third gains nothing, since
/// the kernel's directory cache is the bottleneck.
const WORTH_THREADS: usize = 16;

/// Whoever sees to it that a directory's changes are found.
pub(crate) trait PlaceWatch: Sync {
    /// Watches a directory with this inode number, if it is one to be watched. `None`: it does not exist any more.
    fn place_watch(&self, dir: &Path, inode: u64) -> Option<Coverage>;
}

/// What a walk found.
#[derive(Debug, Default)]
pub(crate) struct WalkResult {
    pub(crate) dirs: Vec<Dir>,
    /// Directories with a `.git` in them.
    pub(crate) repositories: Vec<PathBuf>,
    /// Directories that may have been replaced while they were looked at: which of the two is watched is not known.
    pub(crate) replaced: Vec<PathBuf>,
}

/// A directory to be looked at.
#[derive(Debug)]
struct WalkItem {
    path: PathBuf,
    /// It may be a symbolic link.
    is_start: bool,
    /// The directory it is in is watched, which tells if it is replaced.
    is_told: bool,
}

/// Looks at the directories that count from `start` down, and at the relevant files in them.
pub(crate) fn walk(start: &Path, filter: &Filter, lookout: &impl PlaceWatch) -> WalkResult {
    let first = WalkItem { path: start.to_owned(), is_start: true, is_told: false };
    let queue = Queue { waiting: VecDeque::from([first]), busy: 0, idle: 0 };
    let walk = Walk { filter, lookout, queue: Mutex::new(queue), more: Condvar::new() };
    let other_found = Mutex::new(WalkResult::default());
    let (walk, helped) = (&walk, &other_found);
    let mut found = std::thread::scope(|scope| {
        let mut has_help = false;
        walk.work(|| {
            if has_help {
                return;
            }
            // Nobody waits for its end, but for what it has found.
            let help = || *sync::lock(helped) = walk.work(|| {});
            has_help = std::thread::Builder::new().spawn_scoped(scope, help).is_ok();
        })
    });
    let other = sync::into_inner(other_found);
    found.dirs.extend(other.dirs);
    found.repositories.extend(other.repositories);
    found.replaced.extend(other.replaced);
    found
}

/// Looks at one directory without those below it; `None` if it is none (any more).
pub(crate) fn look_into(path: &Path, filter: &Filter, lookout: &impl PlaceWatch) -> Option<WalkResult> {
    let (mut found, mut names) = (WalkResult::default(), DirListing::default());
    let place = WalkItem { path: path.to_owned(), is_start: true, is_told: false };
    visit(&place, (filter, lookout), &mut names, &mut found);
    (!found.dirs.is_empty()).then_some(found)
}

/// Looks at some names in a directory, which are all that matters of it; `None` if it is none (any more).
pub(crate) fn look_for<'a>(
    path: &Path,
    names: impl Iterator<Item = &'a OsStr>,
    lookout: &impl PlaceWatch,
) -> Option<Dir> {
    let open = open_dir(path).ok()?;
    let signature = signature::look_at(&open).ok()?;
    let coverage = lookout.place_watch(path, signature.inode)?;
    let taken = SystemTime::now();
    let files = names.filter_map(|name| look_at(&open, name, taken)).collect();
    let mut dir = Dir::new(path.to_owned(), signature, files, Vec::new());
    (dir.coverage, dir.racy, dir.partial) = (coverage, signature.is_racy(taken), true);
    Some(dir)
}

/// The directories that wait to be looked at.
#[derive(Debug)]
struct Queue {
    waiting: VecDeque<WalkItem>,
    /// So many are being looked at: they may bring more.
    busy: usize,
    /// So many threads have nothing to do.
    idle: usize,
}

impl Queue {
    /// What to look at next, `None` if nothing more can come; nothing yet if that is not known.
    fn next(&mut self) -> Option<Option<WalkItem>> {
        let next = self.waiting.pop_front();
        self.busy += usize::from(next.is_some());
        (next.is_some() || self.busy == 0).then_some(next)
    }
}

struct Walk<'a, L> {
    filter: &'a Filter,
    lookout: &'a L,
    queue: Mutex<Queue>,
    more: Condvar,
}

impl<L: PlaceWatch> Walk<'_, L> {
    /// Looks at what waits until nothing more comes. `help` is called while much waits.
    fn work(&self, mut help: impl FnMut()) -> WalkResult {
        let (mut found, mut names) = (WalkResult::default(), DirListing::default());
        while let Some(place) = self.next() {
            let below = visit(&place, (self.filter, self.lookout), &mut names, &mut found);
            if self.done(below) > WORTH_THREADS {
                help();
            }
        }
        found
    }

    /// What to look at next; `None` once nothing more can come.
    fn next(&self) -> Option<WalkItem> {
        let mut queue = self.queue();
        loop {
            if let Some(next) = queue.next() {
                return next;
            }
            queue.idle += 1;
            queue = sync::wait(&self.more, queue);
            queue.idle -= 1;
        }
    }

    /// A directory was looked at. Gives how many wait now.
    fn done(&self, below: Vec<WalkItem>) -> usize {
        let mut queue = self.queue();
        queue.busy -= 1;
        queue.waiting.extend(below);
        let waiting = queue.waiting.len();
        if queue.idle > 0 && (waiting > 0 || queue.busy == 0) {
            self.more.notify_all();
        }
        waiting
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        sync::lock(&self.queue)
    }
}

/// Looks at a directory. Gives the directories in it that count.
fn visit(
    place: &WalkItem,
    (filter, lookout): (&Filter, &impl PlaceWatch),
    names: &mut DirListing,
    found: &mut WalkResult,
) -> Vec<WalkItem> {
    let path = &*place.path;
    let flags = if place.is_start { OFlags::empty() } else { OFlags::NOFOLLOW };
    let open = match open_with(path, flags) {
        Ok(open) => open,
        Err(error) => {
            found.dirs.extend(unreadable(path, error, lookout));
            return Vec::new();
        }
    };
    let Ok(signature) = signature::look_at(&open) else { return Vec::new() };
    let taken = SystemTime::now();
    // Gone: that is an event of its own.
    let Some(coverage) = lookout.place_watch(path, signature.inode) else { return Vec::new() };
    let listed = names.read(&open);
    let mut dir = take(path, &open, (signature, taken), filter, (names, listed.is_ok()));
    (dir.coverage, dir.racy, dir.unreadable) = (coverage, signature.is_racy(taken), listed.is_err());
    if names.iter().any(|(name, _)| name == GIT) {
        found.repositories.push(path.to_owned());
    }
    if coverage == Coverage::Events && !place.is_told && inode_of(path) != Some(signature.inode) {
        dir.coverage = Coverage::Missing;
        found.replaced.push(path.to_owned());
    }
    let is_told = dir.coverage == Coverage::Events;
    let below = dir
        .dirs()
        .iter()
        .map(|name| WalkItem { path: path.join(&**name), is_start: false, is_told })
        .collect();
    found.dirs.push(dir);
    below
}

/// What is relevant in an open directory that was listed, if only in part.
fn take(
    path: &Path,
    open: &OwnedFd,
    (signature, taken): (FileSignature, SystemTime),
    filter: &Filter,
    (names, is_whole): (&DirListing, bool),
) -> Dir {
    let within = filter.within(path, &|name| !is_whole || names.has(name));
    let (mut files, mut dirs, mut rules) = (Vec::with_capacity(names.len()), Vec::new(), Vec::new());
    let mut full = path.as_os_str().as_bytes().to_vec();
    if full.last() != Some(&b'/') {
        full.push(b'/');
    }
    let home = full.len();
    let looked = SystemTime::now();
    for (name, kind) in names.iter() {
        full.truncate(home);
        full.extend_from_slice(name.as_bytes());
        let full = Path::new(OsStr::from_bytes(&full));
        let is_rule_file = within.is_rule_file(full);
        if is_rule_file {
            rules.extend(rule_file(open, name, taken));
        }
        match kind.or_else(|| signature::look_in(open, name).ok().map(|signature| signature.kind)) {
            Some(Kind::Dir) if within.counts_dir(full) => dirs.push(name.into()),
            Some(kind) if kind.has_content() && !is_rule_file && within.counts_file(full) => {
                files.extend(look_at(open, name, looked));
            }
            _ => {}
        }
    }
    // Several threads count: not one by one.
    filter.stats.add_files_found(files.len());
    let mut dir = Dir::new(path.to_owned(), signature, files, dirs);
    dir.set_rules(rules);
    dir
}

/// A relevant file; `None` if it is none (any more).
fn look_at(dir: &OwnedFd, name: &OsStr, taken: SystemTime) -> Option<Entry> {
    let signature = signature::look_in(dir, name).ok().filter(|signature| signature.kind.has_content())?;
    Some(Entry { name: name.into(), signature, fingerprint: None, racy: signature.is_racy(taken) })
}

/// A rule file; racy if it can have been read before it was last written. Of a repository's directory only its
/// presence matters.
fn rule_file(dir: &OwnedFd, name: &OsStr, taken: SystemTime) -> Option<Entry> {
    let signature = signature::look_in(dir, name).ok()?;
    let (signature, racy) =
        if name == GIT { (signature.presence(), false) } else { (signature, signature.is_racy(taken)) };
    Some(Entry { name: name.into(), signature, fingerprint: None, racy })
}

/// A directory that cannot be opened: known, and asked again later, if it is not gone.
fn unreadable(path: &Path, error: Errno, lookout: &impl PlaceWatch) -> Option<Dir> {
    if matches!(error, Errno::NOENT | Errno::NOTDIR | Errno::LOOP) {
        return None;
    }
    // The slash makes a root that is a symbolic link be followed.
    let signature = signature::look(&path.join("")).ok().filter(|signature| signature.kind == Kind::Dir)?;
    let mut dir = Dir::new(path.to_owned(), signature, Vec::new(), Vec::new());
    dir.coverage = lookout.place_watch(path, signature.inode)?;
    dir.unreadable = true;
    Some(dir)
}

fn inode_of(path: &Path) -> Option<u64> {
    signature::look(&path.join("")).ok().map(|signature| signature.inode)
}
