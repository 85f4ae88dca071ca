//! Processes as Linux's `/proc` shows them.
//!
//! Every lookup costs as few system calls as possible, because it stands between a save and the new code.

use crate::supervise::sys::pid::Pid;
use std::collections::HashMap;
use std::fs;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// Size of a buffer that holds any `/proc/PID/stat`.
const STAT_SIZE: usize = 1024;
/// Size of a buffer for one read of `/proc/PID/task/TID/children`: one page.
const CHILDREN_PAGE: usize = 4096;
/// Length of the longest pid with its blank. The kernel fills a page up to this length when more pids follow.
const PID_LENGTH: usize = 32;
/// Initial capacity for the text of a file in `/proc`.
const FILE_CAPACITY: usize = 8 << 10;

/// A pid with the start time of its process: the pid alone may be used again.
pub(crate) type Identity = (Pid, u64);

/// One process, as `/proc/PID/stat` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Process {
    pub(crate) pid: Pid,
    pub(crate) parent: Pid,
    pub(crate) group: Pid,
    pub(crate) session: Pid,
    threads: u32,
    /// When it started, in clock ticks since boot.
    pub(crate) start_time: u64,
    /// Whether it can still run: it is no zombie, or a zombie whose other threads go on.
    pub(crate) is_alive: bool,
    /// Whether a signal has stopped it.
    pub(crate) is_stopped: bool,
}

impl Process {
    /// Reads the process with this pid; `None` if there is none.
    pub(crate) fn read(pid: Pid) -> Option<Self> {
        let mut buffer = [0; STAT_SIZE];
        let file = open(format!("/proc/{pid}/stat")).ok()?;
        let length = rustix::io::read(&file, &mut buffer).ok()?;
        Self::parse(pid, &buffer[..length])
    }

    fn parse(pid: Pid, stat: &[u8]) -> Option<Self> {
        // The name stands in parentheses and may contain any byte, parentheses too.
        let rest = stat.get(stat.iter().rposition(|byte| *byte == b')')? + 2..)?;
        let mut fields = std::str::from_utf8(rest).ok()?.split_ascii_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        let session = fields.next()?.parse().ok()?;
        let threads: u32 = fields.nth(13)?.parse().ok()?;
        let start_time = fields.nth(1)?.parse().ok()?;
        let is_alive = !matches!(state, "Z" | "X" | "x") || (state == "Z" && threads > 1);
        let is_stopped = matches!(state, "T" | "t");
        Some(Self { pid, parent, group, session, threads, start_time, is_alive, is_stopped })
    }

    /// A process group, where `/proc` shows no processes. Its number is the pid of its leader.
    pub(crate) fn of_group(group: Pid) -> Self {
        Self { pid: group, group, threads: 1, is_alive: true, ..Self::default() }
    }

    /// What tells it from every other process.
    pub(crate) fn identity(&self) -> Identity {
        (self.pid, self.start_time)
    }

    /// Its children; `None` if the kernel does not list them.
    pub(crate) fn children(&self) -> Option<Vec<Pid>> {
        // A process that has ended has left its children to others.
        if !self.is_alive {
            return Some(Vec::new());
        }
        if self.threads > 1 {
            return children(self.pid);
        }
        let mut found = Vec::new();
        add_children_of_thread(format!("/proc/{0}/task/{0}", self.pid), &mut found).ok()?;
        Some(found)
    }

    /// A variable of its environment; `None` if it has none of that name, or if this process may not read it.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        // Files in `/proc` have no size, so that `fs::read` would begin with a buffer of 32 bytes.
        let mut text = Vec::with_capacity(FILE_CAPACITY);
        fs::File::open(format!("/proc/{}/environ", self.pid)).ok()?.read_to_end(&mut text).ok()?;
        let mut entries = text.split(|byte| *byte == 0);
        let value = entries.find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// Its command line for messages. It is its name in brackets if it has none.
    pub(crate) fn command(&self) -> String {
        let line = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        let words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
        let words: Vec<_> = words.map(String::from_utf8_lossy).collect();
        if !words.is_empty() {
            return words.join(" ");
        }
        match fs::read_to_string(format!("/proc/{}/comm", self.pid)) {
            Ok(name) => format!("[{}]", name.trim_end()),
            Err(_) => format!("process group {}", self.group),
        }
    }
}

/// Name of the user that a process runs as, for messages.
pub(crate) fn user_of(pid: Pid) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let Some(id) = ids.and_then(|ids| ids.split_ascii_whitespace().next()) else {
        return "another user".to_owned();
    };
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut users = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let name = users.find(|fields| fields.get(2) == Some(&id)).map(|fields| fields[0].to_owned());
    name.unwrap_or_else(|| format!("user {id}"))
}

/// Whether `/proc` is Linux's, and shows this process under its own pid: not if it belongs to another PID
/// namespace.
pub(crate) fn shows_this_process() -> bool {
    let own_pid = Pid::own().to_string();
    cfg!(target_os = "linux") && fs::read_link("/proc/self").is_ok_and(|shown| shown == Path::new(&own_pid))
}

/// Pids of all processes.
pub(crate) fn all_pids() -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// All descendants of this process, adopted orphans included; `None` if the kernel does not list them.
///
/// The kernel keeps a list for each thread, of the children that it started; the orphans are in the list of the
/// main thread while that lives. So that list is enough if only the main thread has started children that matter.
pub(crate) fn descendants(own_pid: Pid, main_thread_only: bool) -> Option<HashMap<Pid, Process>> {
    let (mut found, mut queue) = (HashMap::new(), Vec::new());
    if main_thread_only {
        add_children_of_thread(format!("/proc/self/task/{own_pid}"), &mut queue).ok()?;
    } else {
        queue = children(own_pid)?;
    }
    while let Some(pid) = queue.pop() {
        if let Some(process) = Process::read(pid)
            && found.insert(pid, process).is_none()
        {
            queue.extend(process.children()?);
        }
    }
    Some(found)
}

/// Whether the calling thread is the first one of this process.
pub(crate) fn is_main_thread() -> bool {
    #[cfg(target_os = "linux")]
    return rustix::thread::gettid() == rustix::process::getpid();
    #[cfg(not(target_os = "linux"))]
    true
}

/// Children of one process, over all its threads; `None` if the kernel does not list them.
pub(crate) fn children(pid: Pid) -> Option<Vec<Pid>> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        add_children_of_thread(task.path(), &mut found).ok()?;
    }
    Some(found)
}

/// Adds the children of one thread, whose directory is `task`.
fn add_children_of_thread(task: impl AsRef<Path>, found: &mut Vec<Pid>) -> io::Result<()> {
    let (mut text, task) = (Vec::new(), task.as_ref());
    match read_pages(&task.join("children"), &mut text) {
        Ok(()) => {}
        // The thread has just ended; another thread of the process has its children now.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !task.join("stat").exists() => {}
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
        Err(error) => return Err(error),
    }
    let words = text.split(|byte| *byte == b' ');
    found.extend(words.filter_map(|word| std::str::from_utf8(word).ok()?.parse::<Pid>().ok()));
    Ok(())
}

fn read_pages(path: &Path, text: &mut Vec<u8>) -> io::Result<()> {
    let file = open(path)?;
    let mut page = [0; CHILDREN_PAGE];
    loop {
        let count = rustix::io::read(&file, &mut page)?;
        text.extend_from_slice(&page[..count]);
        if count < CHILDREN_PAGE - PID_LENGTH {
            return Ok(());
        }
    }
}

fn open(path: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}
