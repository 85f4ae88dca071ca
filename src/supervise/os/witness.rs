//! Linux: who wrote a file. With `CAP_SYS_ADMIN` the kernel tells; otherwise those are known who are met while they write.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::super::evidence::Suspected;
use super::ear::Ear;
use super::lease::Leases;
use super::procfs::{Marked, everybody, marked, process};

/// So many names are kept at most until they are asked about.
const NAMES: usize = 1024;

/// Who has written under one name since it was last asked about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// A process of ours.
    pub(crate) by_us: bool,
    pub(crate) by_others: bool,
    /// Somebody who had ended before he could be looked at, or could not be.
    pub(crate) by_unknown: bool,
}

/// What was heard of writers, by the names of files, until somebody asks. Files of one name in two directories are not told apart.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard(Arc<Mutex<HashMap<OsString, Written>>>);

impl Heard {
    fn names(&self) -> MutexGuard<'_, HashMap<OsString, Written>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody has written.
    pub(super) fn note(&self, name: &OsStr, by: Written) {
        let mut names = self.names();
        if names.len() < NAMES || names.contains_key(name) {
            let known = names.entry(name.to_owned()).or_default();
            known.by_us |= by.by_us;
            known.by_others |= by.by_others;
            known.by_unknown |= by.by_unknown;
        }
    }

    /// Another file has taken its place, written by these: who of ours wrote the one before is of no interest any more.
    pub(super) fn replaced(&self, name: &OsStr, by: Written) {
        if let Some(known) = self.names().get_mut(name) {
            known.by_us = false;
        }
        self.note(name, by);
    }

    fn take(&self, name: &OsStr) -> Written {
        self.names().remove(name).unwrap_or_default()
    }

    /// Nobody asks about names of which too many are known.
    fn tidy(&self, nobody_is_suspected: bool) {
        let mut names = self.names();
        if nobody_is_suspected || names.len() >= NAMES {
            names.clear();
        }
    }
}

/// The way to hear of writers that the kernel lets us have.
#[derive(Debug)]
enum Way {
    Ear(Ear),
    Leases(Leases),
    Deaf,
}

/// Listens for writers.
#[derive(Debug)]
pub(crate) struct Witness {
    session: String,
    heard: Heard,
    /// `None`: not tried yet.
    way: Option<Way>,
}

impl Witness {
    pub(crate) fn new(session: &str) -> Self {
        Self { session: session.to_owned(), heard: Heard::default(), way: None }
    }

    /// Listens for who writes these files from now on, and for no others.
    pub(crate) fn watch(&mut self, files: &[Suspected]) {
        if files.is_empty() && self.way.is_none() {
            return;
        }
        self.heard.tidy(files.is_empty());
        let (session, heard) = (&self.session, &self.heard);
        match self.way.get_or_insert_with(|| Way::open(session, heard)) {
            Way::Ear(ear) => ear.watch(files),
            Way::Leases(leases) => leases.watch(files),
            Way::Deaf => {}
        }
    }

    /// A process of ours is about to start: what it writes in this time is of interest.
    pub(crate) fn attend(&self, how_long: Duration) {
        if let Some(Way::Leases(leases)) = &self.way {
            leases.attend(how_long);
        }
    }

    /// This process is about to be stopped, and must not hold anybody up.
    pub(crate) fn rest(&self) {
        if let Some(Way::Leases(leases)) = &self.way {
            leases.rest();
        }
    }

    /// Whether who writes this file is listened for.
    pub(crate) fn hears(&self, file: &Path) -> bool {
        matches!(&self.way, Some(Way::Ear(ear)) if ear.hears(file))
    }

    /// Who has written this file since it was last asked about.
    pub(crate) fn written(&self, file: &Path) -> Written {
        let mut written = self.heard.take(file.file_name().unwrap_or_default());
        // Who looks himself may miss an editor that replaces the file, and must not take its work for the child's.
        written.by_us &= !(written.by_unknown && matches!(self.way, Some(Way::Leases(_))));
        written
    }
}

impl Way {
    fn open(session: &str, heard: &Heard) -> Self {
        let ear = Ear::open(session, heard).map(Self::Ear);
        ear.or_else(|_| Leases::open(session, heard).map(Self::Leases)).unwrap_or_else(|error| {
            tracing::debug!(%error, "cannot tell who writes a file");
            Self::Deaf
        })
    }
}

/// Whose process this is.
pub(super) fn writer(pid: i32, session: &str) -> Written {
    if pid == std::process::id() as i32 || matches!(marked(pid, session), Marked::Ours(_)) {
        return Written { by_us: true, ..Written::default() };
    }
    // Outside of our PID namespace everybody has the number 0.
    let is_there = pid == 0 || process(pid).is_some();
    Written { by_others: is_there, by_unknown: !is_there, ..Written::default() }
}

/// Those who pass on what we print, such as the `tee` in `devrun … | tee log`. Not those who have started us: a test reads our
/// output too, and edits files.
pub(crate) fn passing_on() -> Vec<i32> {
    let pipes = output_pipes();
    if pipes.is_empty() {
        return Vec::new();
    }
    let ancestors: Vec<i32> = ancestors().collect();
    everybody().into_iter().filter(|pid| !ancestors.contains(pid) && reads(*pid, &pipes)).collect()
}

/// This process, its parent, and so on.
fn ancestors() -> impl Iterator<Item = i32> {
    let me = std::process::id() as i32;
    std::iter::successors(Some(me), |pid| process(*pid).map(|one| one.parent).filter(|parent| *parent > 0))
}

/// The pipes that our standard output and error are.
fn output_pipes() -> Vec<u64> {
    let links = [1, 2].map(|fd| fs::read_link(format!("/proc/self/fd/{fd}")).unwrap_or_default());
    links.iter().filter_map(|link| pipe_inode(link)).collect()
}

fn pipe_inode(link: &Path) -> Option<u64> {
    link.to_str()?.strip_prefix("pipe:[")?.strip_suffix(']')?.parse().ok()
}

fn reads(pid: i32, pipes: &[u64]) -> bool {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let mut links = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    links.any(|link| pipe_inode(&link).is_some_and(|inode| pipes.contains(&inode)))
}

/// Whether one of these processes has this file open for writing.
pub(crate) fn has_open(pids: &[i32], file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|file| who_has_open(pids, &file).is_some())
}

/// The first of these processes that has this file open for writing.
pub(super) fn who_has_open(pids: &[i32], file: &fs::Metadata) -> Option<i32> {
    pids.iter().copied().find(|pid| {
        let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        entries.filter(|entry| is_same(&entry.path(), file)).any(|entry| {
            let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{}", entry.file_name().display()));
            info.is_ok_and(|info| writes(&info))
        })
    })
}

fn is_same(link: &Path, file: &fs::Metadata) -> bool {
    fs::metadata(link).is_ok_and(|found| (found.dev(), found.ino()) == (file.dev(), file.ino()))
}

/// `flags:  0100001`, in octal: the lowest two bits are the way it was opened.
fn writes(info: &str) -> bool {
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & libc::O_ACCMODE != libc::O_RDONLY)
}

/// All that these processes, and those of theirs that have ended, have written to anything; `None`: not to be known.
pub(crate) fn bytes_written(pids: &[i32]) -> Option<u64> {
    let written = |pid: &i32| {
        let io = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
        io.lines().find_map(|line| line.strip_prefix("wchar:")?.trim().parse::<u64>().ok())
    };
    pids.iter().map(written).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_open_for_writing_is_found() {
        let path = std::env::temp_dir().join(format!("devrun-open-{}", std::process::id()));
        let me = [std::process::id() as i32];
        let open = fs::File::create(&path).unwrap();
        assert!(has_open(&me, &path));
        drop(open);
        let _reading = fs::File::open(&path).unwrap();
        assert!(!has_open(&me, &path));
        fs::remove_file(&path).unwrap();
    }
}
