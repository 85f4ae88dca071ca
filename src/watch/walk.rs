//! The pruned walk: finds the directories that count and the relevant files in them. Reads no content.
//!
//! Nothing that happens between listing a directory and watching it is missed: list, place the watches, then
//! [`fill`] looks at every file and lists again what has changed since.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use ignore::{DirEntry, WalkBuilder, WalkState};
use rustix::fs::{Mode, OFlags};

use super::filter::Filter;
use super::stamp::{self, Kind, Stamp};
use super::tree::{Dir, Entry};

/// More threads than this gain nothing: the kernel's directory cache is the bottleneck.
const THREADS: usize = 2;
/// What makes a directory a repository.
const GIT: &str = ".git";
/// Below this many directories a second thread costs more than it brings.
const WORTH_THREADS: usize = 16;

/// A directory that counts, listed: names only.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) path: PathBuf,
    /// Taken before it was listed.
    stamp: Stamp,
    taken: SystemTime,
    files: Vec<Box<OsStr>>,
    dirs: Vec<Box<OsStr>>,
    /// Files that rules are read from; they are no relevant files themselves.
    rules: Vec<Box<OsStr>>,
    unreadable: bool,
    partial: bool,
}

impl Listing {
    /// A directory before it is listed; `None` if it is none (any more).
    fn begin(path: &Path) -> Option<Self> {
        // The slash makes a root that is a symbolic link be followed.
        let stamp = stamp::look(&path.join("")).ok().filter(|stamp| stamp.kind == Kind::Dir)?;
        let (files, dirs, rules) = (Vec::new(), Vec::new(), Vec::new());
        let (path, taken) = (path.to_owned(), SystemTime::now());
        Some(Self { path, stamp, taken, files, dirs, rules, unreadable: false, partial: false })
    }

    /// Which directory it is.
    pub(crate) fn inode(&self) -> u64 {
        self.stamp.inode
    }

    /// A directory of which only some names matter.
    pub(crate) fn of_names(path: &Path, names: impl Iterator<Item = Box<OsStr>>) -> Option<Self> {
        Some(Self { files: names.collect(), partial: true, ..Self::begin(path)? })
    }

    /// One directory without those below it.
    pub(crate) fn of_dir(path: &Path) -> Option<Self> {
        // Nothing is listed yet: `fill` does, since no stamp is older than this.
        let mut listing = Self::begin(path)?;
        listing.taken = SystemTime::UNIX_EPOCH;
        Some(listing)
    }
}

/// What a walk found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) listings: Vec<Listing>,
    /// Directories with a `.git` in them.
    pub(crate) repositories: Vec<PathBuf>,
}

/// Lists the directories that count from `start` down.
pub(crate) fn list(start: &Path, filter: &Arc<Filter>, parallel: bool) -> Found {
    let Some(first) = Listing::begin(start) else { return Found::default() };
    let collector = Arc::new(Collector::new(filter));
    collector.listings().insert(start.as_os_str().into(), first);
    let mut builder = WalkBuilder::new(start.join(""));
    let filtering = Arc::clone(&collector);
    builder.standard_filters(false).filter_entry(move |entry| filtering.wants(entry));
    if parallel {
        builder.threads(THREADS).build_parallel().run(|| {
            Box::new(|result| {
                collector.note(result);
                WalkState::Continue
            })
        });
    } else {
        builder.build().for_each(|result| collector.note(result));
    }
    let listings = std::mem::take(&mut *collector.listings()).into_values().collect();
    let repositories = std::mem::take(&mut *locked(&collector.repositories));
    Found { listings, repositories }
}

/// Gathers while walking. Files are kept here and never queued by the walker.
#[derive(Debug)]
struct Collector {
    filter: Arc<Filter>,
    listings: Mutex<HashMap<OsString, Listing>>,
    repositories: Mutex<Vec<PathBuf>>,
}

impl Collector {
    fn new(filter: &Arc<Filter>) -> Self {
        Self { filter: Arc::clone(filter), listings: Mutex::default(), repositories: Mutex::default() }
    }

    fn listings(&self) -> MutexGuard<'_, HashMap<OsString, Listing>> {
        locked(&self.listings)
    }

    /// Whether the walk goes on into this entry: only into directories that count.
    fn wants(&self, entry: &DirEntry) -> bool {
        let (path, Some(kind)) = (entry.path(), entry.file_type()) else { return true };
        if entry.depth() == 0 {
            return true;
        }
        let Some((parent, name)) = path.parent().zip(path.file_name()) else { return false };
        if name == GIT {
            locked(&self.repositories).push(parent.to_owned());
        }
        let is_rule_file = self.filter.is_rule_file(path);
        if is_rule_file {
            self.add(parent, |listing| listing.rules.push(name.into()));
        }
        match Kind::from(kind) {
            Kind::Dir => self.enters(path, parent, name),
            kind => {
                if kind.has_content() && !is_rule_file && self.filter.counts_file(path) {
                    self.filter.tally.finds();
                    self.add(parent, |listing| listing.files.push(name.into()));
                }
                false
            }
        }
    }

    fn enters(&self, path: &Path, parent: &Path, name: &OsStr) -> bool {
        if !self.filter.counts_dir(path) {
            return false;
        }
        let Some(listing) = Listing::begin(path) else { return false };
        self.add(parent, |listing| listing.dirs.push(name.into()));
        self.listings().insert(path.as_os_str().into(), listing);
        true
    }

    fn add(&self, parent: &Path, push: impl FnOnce(&mut Listing)) {
        if let Some(listing) = self.listings().get_mut(parent.as_os_str()) {
            push(listing);
        }
    }

    /// An error names a directory that could not be listed.
    fn note(&self, result: Result<DirEntry, ignore::Error>) {
        if let Err(error) = result
            && let Some(path) = path_of(&error)
            && let Some(listing) = self.listings().get_mut(path.components().as_path().as_os_str())
        {
            listing.unreadable = true;
        }
    }
}

fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => path_of(err),
        _ => None,
    }
}

/// What [`fill`] found.
#[derive(Debug, Default)]
pub(crate) struct Filled {
    pub(crate) dirs: Vec<Dir>,
    /// Directories that have appeared since they were listed: to be walked too.
    pub(crate) more: Vec<PathBuf>,
}

/// Looks at every listed file, and lists again what has changed since it was listed.
pub(crate) fn fill(listings: Vec<Listing>, filter: &Filter) -> Filled {
    if listings.len() < WORTH_THREADS {
        let mut filled = Filled::default();
        listings.into_iter().for_each(|listing| fill_one(listing, filter, &mut filled));
        return filled;
    }
    let queue = Mutex::new(listings.into_iter());
    let work = || {
        let mut filled = Filled::default();
        loop {
            let next: Vec<_> = locked(&queue).by_ref().take(WORTH_THREADS).collect();
            if next.is_empty() {
                return filled;
            }
            next.into_iter().for_each(|listing| fill_one(listing, filter, &mut filled));
        }
    };
    std::thread::scope(|scope| {
        let helpers: Vec<_> = (1..THREADS).map(|_| scope.spawn(work)).collect();
        let mut filled = work();
        for part in helpers.into_iter().filter_map(|helper| helper.join().ok()) {
            filled.dirs.extend(part.dirs);
            filled.more.extend(part.more);
        }
        filled
    })
}

fn fill_one(mut listing: Listing, filter: &Filter, filled: &mut Filled) {
    let opened = open_dir(&listing.path);
    let Ok(dir) = opened else {
        // Gone: its removal is an event of its own. Unreadable: known, and asked again later.
        if opened.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied) || listing.unreadable {
            listing.unreadable = true;
            filled.dirs.push(finish(listing, Vec::new()));
        }
        return;
    };
    if !listing.partial
        && let Ok(now) = stamp::look_at(&dir)
        && (now != listing.stamp || listing.stamp.is_racy(listing.taken))
    {
        list_again(&mut listing, &dir, now, filter, filled);
    }
    let taken = SystemTime::now();
    let mut files = Vec::with_capacity(listing.files.len());
    for name in std::mem::take(&mut listing.files) {
        if let Ok(stamp) = stamp::look_in(&dir, &name)
            && stamp.kind.has_content()
        {
            files.push(Entry { name, stamp, print: None, racy: stamp.is_racy(taken) });
        }
    }
    let rules = std::mem::take(&mut listing.rules);
    let rules = rules.into_iter().filter_map(|name| rule_file(&dir, name, listing.taken)).collect();
    let mut found = finish(listing, files);
    found.set_rules(rules);
    filled.dirs.push(found);
}

/// A rule file; racy if it can have been read before it was last written. Of a repository's directory only its
/// presence matters.
fn rule_file(dir: &OwnedFd, name: Box<OsStr>, taken: SystemTime) -> Option<Entry> {
    let stamp = stamp::look_in(dir, &name).ok()?;
    if &*name == GIT {
        return Some(Entry { name, stamp: stamp.presence(), print: None, racy: false });
    }
    Some(Entry { name, stamp, print: None, racy: stamp.is_racy(taken) })
}

fn finish(listing: Listing, files: Vec<Entry>) -> Dir {
    let mut dir = Dir::new(listing.path, listing.stamp, files, listing.dirs);
    dir.racy = listing.stamp.is_racy(listing.taken);
    dir.unreadable = listing.unreadable;
    dir.partial = listing.partial;
    dir
}

/// Directories are listed again one by one, without the walker: what is new in them is walked after.
fn list_again(listing: &mut Listing, dir: &OwnedFd, now: Stamp, filter: &Filter, filled: &mut Filled) {
    let Ok(names) = names(dir) else { return };
    let known = std::mem::take(&mut listing.dirs);
    (listing.stamp, listing.taken) = (now, SystemTime::now());
    listing.files.clear();
    listing.rules.clear();
    for (name, kind) in names {
        let path = listing.path.join(&*name);
        if filter.is_rule_file(&path) {
            listing.rules.push(name);
            continue;
        }
        let kind = kind.or_else(|| stamp::look_in(dir, &name).ok().map(|stamp| stamp.kind));
        match kind {
            Some(Kind::Dir) if filter.counts_dir(&path) => {
                if !known.contains(&name) {
                    filled.more.push(path);
                }
                listing.dirs.push(name);
            }
            Some(kind) if kind.has_content() && filter.counts_file(&path) => listing.files.push(name),
            _ => {}
        }
    }
}

/// Opens a directory to look at what is in it.
///
/// # Errors
/// What `open` says.
pub(crate) fn open_dir(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// The names in an open directory, with their kinds where the directory says so.
fn names(dir: &OwnedFd) -> io::Result<Vec<(Box<OsStr>, Option<Kind>)>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(dir.as_fd())? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push((OsStr::from_bytes(name).into(), kind_of(entry.file_type())));
        }
    }
    Ok(names)
}

fn kind_of(kind: rustix::fs::FileType) -> Option<Kind> {
    match kind {
        rustix::fs::FileType::Unknown => None,
        rustix::fs::FileType::RegularFile => Some(Kind::File),
        rustix::fs::FileType::Directory => Some(Kind::Dir),
        rustix::fs::FileType::Symlink => Some(Kind::Link),
        _ => Some(Kind::Other),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
