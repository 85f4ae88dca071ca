//! Linux: who wrote a file. As root the kernel tells (fanotify); otherwise only those are known who still have it open.
//!
//! Nothing is held up: this only listens, to the directories of those few files that are under suspicion.

use std::collections::{HashMap, HashSet};
use std::ffi::{CString, OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

use super::procfs::{Marked, everybody, marked, process};
use super::unix::pipe;

/// What is listened for: everything that can change a file's content or existence.
const EVENTS: u64 = libc::FAN_MODIFY
    | libc::FAN_CLOSE_WRITE
    | libc::FAN_CREATE
    | libc::FAN_DELETE
    | libc::FAN_MOVED_TO
    | libc::FAN_MOVED_FROM
    | libc::FAN_EVENT_ON_CHILD;
/// The record with the directory and the name in it.
const NAMED: u8 = 2;
/// So many names are kept at most until they are asked about.
const NAMES: usize = 1024;

/// Who has written under one name since it was last asked about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// A process of ours.
    pub(crate) by_us: bool,
    pub(crate) by_others: bool,
    /// Somebody who had ended before he could be looked at.
    pub(crate) by_unknown: bool,
}

type Names = Arc<Mutex<HashMap<OsString, Written>>>;

/// Listens for writers.
#[derive(Debug)]
pub(crate) struct Witness {
    session: String,
    names: Names,
    directories: HashSet<PathBuf>,
    /// `None`: not tried yet. `Some(None)`: the kernel does not let us.
    ear: Option<Option<Ear>>,
}

/// The open listener, and its thread.
#[derive(Debug)]
struct Ear {
    group: Arc<OwnedFd>,
    /// Its end ends the thread.
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Witness {
    pub(crate) fn new(session: &str) -> Self {
        let (names, directories) = (Names::default(), HashSet::new());
        Self { session: session.to_owned(), names, directories, ear: None }
    }

    /// Listens for who writes into the directories of these files from now on, and into no others.
    pub(crate) fn watch(&mut self, files: &[PathBuf]) {
        if files.is_empty() && self.directories.is_empty() {
            return;
        }
        let session = &self.session;
        let ear = self.ear.get_or_insert_with(|| Ear::open(session, &self.names).ok());
        let Some(ear) = ear else { return };
        let wanted: HashSet<PathBuf> =
            files.iter().filter_map(|file| Some(file.parent()?.to_owned())).collect();
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if files.is_empty() || names.len() >= NAMES {
            names.clear();
        }
        drop(names);
        for gone in self.directories.difference(&wanted) {
            ear.mark(libc::FAN_MARK_REMOVE, gone);
        }
        // Again for those that are known: a directory may have been replaced by another.
        wanted.iter().for_each(|directory| ear.mark(libc::FAN_MARK_ADD, directory));
        self.directories = wanted;
    }

    /// Whether who writes this file is listened for.
    pub(crate) fn hears(&self, file: &Path) -> bool {
        file.parent().is_some_and(|directory| self.directories.contains(directory))
    }

    /// Who has written this file since it was last asked about. Files of one name in two directories are not told apart.
    pub(crate) fn written(&self, file: &Path) -> Written {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let name = file.file_name().unwrap_or_default();
        names.remove(name).unwrap_or_default()
    }
}

impl Ear {
    fn open(session: &str, names: &Names) -> io::Result<Self> {
        // An unprivileged listener is not told who it was. It may not ask for a long queue either, so that asking tells.
        let flags = libc::FAN_CLASS_NOTIF
            | libc::FAN_CLOEXEC
            | libc::FAN_REPORT_DFID_NAME
            | libc::FAN_UNLIMITED_QUEUE;
        // SAFETY: plain system call; a descriptor it returns is fresh and owned by nobody else.
        let group = unsafe {
            let fd = libc::fanotify_init(flags, libc::O_RDONLY as libc::c_uint);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            Arc::new(OwnedFd::from_raw_fd(fd))
        };
        let (stopped, stop) = pipe()?;
        let (heard, names, session) = (Arc::clone(&group), Arc::clone(names), session.to_owned());
        let thread = std::thread::Builder::new().name("writers".to_owned());
        let thread = thread.spawn(move || listen(&heard, &stopped, &session, &names))?;
        Ok(Self { group, stop: Some(stop), thread: Some(thread) })
    }

    fn mark(&self, flags: libc::c_uint, directory: &Path) {
        let Ok(path) = CString::new(directory.as_os_str().as_bytes()) else { return };
        // SAFETY: the path ends with a null and lives until the call returns.
        let marked = unsafe {
            libc::fanotify_mark(self.group.as_raw_fd(), flags, EVENTS, libc::AT_FDCWD, path.as_ptr())
        };
        if marked != 0 {
            let error = io::Error::last_os_error();
            tracing::debug!(directory = %directory.display(), %error, "cannot hear who writes there");
        }
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The life of the thread: each writer is looked at while it is still there.
fn listen(group: &OwnedFd, stopped: &OwnedFd, session: &str, names: &Names) {
    hurry();
    let mut breath = Breath { since: Instant::now(), times: 0 };
    let mut buffer = vec![0_u8; 16 << 10];
    loop {
        let mut waiting = [PollFd::new(group, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
        match poll(&mut waiting, None) {
            Ok(_) if !waiting[1].revents().is_empty() => return,
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return,
        }
        breath.take();
        let Ok(length) = rustix::io::read(group, &mut buffer) else { return };
        for (pid, name) in events(&buffer[..length]) {
            let by = writer(pid, session);
            let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
            if names.len() < NAMES || names.contains_key(name) {
                let known = names.entry(name.to_owned()).or_default();
                known.by_us |= by.by_us;
                known.by_others |= by.by_others;
                known.by_unknown |= by.by_unknown;
            }
        }
    }
}

/// Keeps a flood of writes from taking a core: events of one process about one file become one while they wait.
struct Breath {
    since: Instant,
    times: u32,
}

impl Breath {
    fn take(&mut self) {
        self.times += 1;
        if self.since.elapsed() > Duration::from_millis(100) {
            (self.since, self.times) = (Instant::now(), 0);
        } else if self.times > 20 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A shell's `date > file` is over in a millisecond: this thread, which hardly ever runs, runs before others.
fn hurry() {
    // SAFETY: plain system calls that concern this thread alone; where they are forbidden, it is merely later.
    unsafe {
        let mut first: libc::sched_param = std::mem::zeroed();
        first.sched_priority = 1;
        if libc::sched_setscheduler(0, libc::SCHED_FIFO, &first) != 0 {
            libc::setpriority(libc::PRIO_PROCESS, 0, -20);
        }
    }
}

/// Each event's process and the name it is about.
fn events(mut rest: &[u8]) -> impl Iterator<Item = (i32, &OsStr)> {
    std::iter::from_fn(move || {
        loop {
            // event_len u32, vers u8, reserved u8, metadata_len u16, mask u64, fd i32, pid i32
            let length = number(rest, 0)? as usize;
            let head = usize::from(u16::from_ne_bytes(rest.get(6..8)?.try_into().ok()?));
            let pid = number(rest, 20)? as i32;
            let event = rest.get(..length).filter(|event| event.len() >= head.max(24))?;
            rest = &rest[length..];
            if let Some(name) = name(&event[head..]) {
                return Some((pid, name));
            }
        }
    })
}

/// info_type u8, pad u8, len u16; fsid 8 bytes; handle_bytes u32, handle_type i32, the handle; the name up to a null.
fn name(mut records: &[u8]) -> Option<&OsStr> {
    loop {
        let kind = *records.first()?;
        let length = usize::from(u16::from_ne_bytes(records.get(2..4)?.try_into().ok()?));
        let record = records.get(..length).filter(|record| record.len() >= 4)?;
        if kind == NAMED {
            let handle = number(record, 12)? as usize;
            let text = record.get(20 + handle..)?;
            return Some(OsStr::from_bytes(text.split(|byte| *byte == 0).next()?));
        }
        records = &records[length..];
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn writer(pid: i32, session: &str) -> Written {
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
    let Ok(found) = fs::metadata(file) else { return false };
    pids.iter().any(|pid| {
        let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        entries.filter(|entry| is_same(&entry.path(), &found)).any(|entry| {
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
    fn events_are_read_up_to_where_they_make_sense() {
        let mut event = Vec::new();
        let name = b"cache.json\0\0";
        let record = 20 + 8 + name.len();
        event.extend((24 + record as u32).to_ne_bytes());
        event.extend([3, 0]);
        event.extend(24_u16.to_ne_bytes());
        event.extend(2_u64.to_ne_bytes());
        event.extend((-1_i32).to_ne_bytes());
        event.extend(77_i32.to_ne_bytes());
        event.extend([NAMED, 0]);
        event.extend((record as u16).to_ne_bytes());
        event.extend([0; 8]);
        event.extend(8_u32.to_ne_bytes());
        event.extend(1_i32.to_ne_bytes());
        event.extend([9; 8]);
        event.extend(name);
        let twice = [event.clone(), event.clone()].concat();
        let all: Vec<_> = events(&twice).collect();
        assert_eq!(all, [(77, OsStr::new("cache.json")); 2]);
        for cut in 0..event.len() {
            assert_eq!(events(&event[..cut]).count(), 0, "cut at {cut}");
        }
    }

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
