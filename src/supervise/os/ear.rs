//! Linux, with `CAP_SYS_ADMIN`: the kernel tells who writes (fanotify(7)).
//!
//! Nothing is held up: this only listens, to the directories of those few files that are under suspicion.

use std::collections::HashSet;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

use super::super::evidence::Suspected;
use super::heard::{Heard, writer};
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

/// The open listener, and its thread.
#[derive(Debug)]
pub(super) struct Ear {
    directories: HashSet<PathBuf>,
    group: Arc<OwnedFd>,
    /// Its end ends the thread.
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Ear {
    pub(super) fn open(session: &str, heard: &Heard) -> io::Result<Self> {
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
        let (events, heard, session) = (Arc::clone(&group), heard.clone(), session.to_owned());
        let thread = std::thread::Builder::new().name("writers".to_owned());
        let thread = thread.spawn(move || listen(&events, &stopped, &session, &heard))?;
        Ok(Self { directories: HashSet::new(), group, stop: Some(stop), thread: Some(thread) })
    }

    /// Listens to the directories of these files from now on, and to no others.
    pub(super) fn watch(&mut self, files: &[Suspected]) {
        let wanted: HashSet<PathBuf> =
            files.iter().filter_map(|file| Some(file.path.parent()?.to_owned())).collect();
        for gone in self.directories.difference(&wanted) {
            self.mark(libc::FAN_MARK_REMOVE, gone);
        }
        // Again for those that are known: a directory may have been replaced by another.
        wanted.iter().for_each(|directory| self.mark(libc::FAN_MARK_ADD, directory));
        self.directories = wanted;
    }

    /// Whether who writes this file is listened for.
    pub(super) fn hears(&self, file: &Path) -> bool {
        file.parent().is_some_and(|directory| self.directories.contains(directory))
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
fn listen(group: &OwnedFd, stopped: &OwnedFd, session: &str, heard: &Heard) {
    hurry();
    let mut breath = Breath::new();
    let mut buffer = vec![0_u8; 16 << 10];
    loop {
        let mut waiting = [PollFd::new(group, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
        match poll(&mut waiting, None) {
            Ok(_) if !waiting[1].revents().is_empty() => return,
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return,
        }
        if let Some(pause) = breath.take() {
            std::thread::sleep(pause);
        }
        let Ok(length) = rustix::io::read(group, &mut buffer) else { return };
        for (pid, name) in events(&buffer[..length]) {
            heard.note(name, writer(pid, session));
        }
    }
}

/// Keeps a flood of writes from taking a core: events of one process about one file become one while they wait.
pub(super) struct Breath {
    since: Instant,
    times: u32,
}

impl Breath {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), times: 0 }
    }

    /// Before something is read: how long to leave it alone.
    pub(super) fn take(&mut self) -> Option<Duration> {
        self.times += 1;
        if self.since.elapsed() > Duration::from_millis(100) {
            (self.since, self.times) = (Instant::now(), 0);
        }
        (self.times > 20).then_some(Duration::from_millis(5))
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
}
