//! Linux: who wrote a file. With `CAP_SYS_ADMIN` the kernel tells; otherwise those are known who are met while they write.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::super::evidence::Suspected;
use super::ear::Ear;
use super::heard::{Heard, Written};
use super::lease::Leases;
use super::procfs::{Process, everybody, process};

pub(crate) use super::heard::{bytes_written, has_open};

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
    readers: Readers,
}

/// How long it is believed that nobody else reads what we print.
const KEPT: Duration = Duration::from_secs(60);

impl Witness {
    pub(crate) fn new(session: &str) -> Self {
        Self { session: session.to_owned(), heard: Heard::default(), way: None, readers: Readers::default() }
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

    /// Those who pass on what we print, such as the `tee` in `devrun … | tee log`. Not those who have started us: a test reads
    /// our output too, and edits files.
    pub(crate) fn passing_on(&mut self) -> Vec<i32> {
        self.readers.living()
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

/// Those who read what we print. To find them everybody's descriptors are looked at, so they are kept for a while: who
/// reads a pipe has it from its start.
#[derive(Debug, Default)]
struct Readers {
    found: Vec<Process>,
    at: Option<Instant>,
}

impl Readers {
    fn living(&mut self) -> Vec<i32> {
        if self.at.is_none_or(|at| at.elapsed() > KEPT) {
            self.found = passing_on();
            self.at = Some(Instant::now());
        }
        self.found.retain(|one| process(one.pid).is_some_and(|now| now.same(one)));
        self.found.iter().map(|one| one.pid).collect()
    }
}

fn passing_on() -> Vec<Process> {
    let pipes = output_pipes();
    if pipes.is_empty() {
        return Vec::new();
    }
    let ancestors: Vec<i32> = ancestors().collect();
    let readers = everybody().into_iter().filter(|pid| !ancestors.contains(pid) && reads(*pid, &pipes));
    readers.filter_map(process).collect()
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
