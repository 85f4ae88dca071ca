//! Linux: processes as `/proc` shows them, and the variable by which those of a tree are known.
//!
//! Asked with as few calls as it takes: this stands between a save and the new code.

use std::fs;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// The variable that every process of a tree inherits: `SESSION-KEY`.
pub(crate) const MARKER: &str = "DEVRUN_SESSION";

/// More than the kernel ever writes to a `stat`.
const STAT: usize = 1024;
/// A page of child processes at a time.
const CHILDREN: usize = 4096;
/// What most of its files need.
const ROOM: usize = 8 << 10;
/// The room that a number and its blank take: the kernel leaves a page as full as this when there is more to come.
const NUMBER: usize = 32;

/// One process, as `/proc/PID/stat` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its number.
    pub(crate) pid: i32,
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) session: i32,
    threads: u32,
    /// When it began, in clock ticks since boot: with the number it names the process for good.
    pub(super) began: u64,
    /// It can still run: no zombie, or one whose other threads go on.
    pub(super) alive: bool,
    /// It is stopped by a signal.
    pub(crate) stopped: bool,
}

pub(super) fn process(pid: i32) -> Option<Process> {
    let mut buffer = [0; STAT];
    let file = open(format!("/proc/{pid}/stat")).ok()?;
    let length = rustix::io::read(&file, &mut buffer).ok()?;
    let text = &buffer[..length];
    // The name stands in parentheses and may contain any byte, parentheses too.
    let rest = text.get(text.iter().rposition(|byte| *byte == b')')? + 2..)?;
    let rest = std::str::from_utf8(rest).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let session = fields.next()?.parse().ok()?;
    let threads: u32 = fields.nth(13)?.parse().ok()?;
    let began = fields.nth(1)?.parse().ok()?;
    let alive = !matches!(state, "Z" | "X" | "x") || (state == "Z" && threads > 1);
    let stopped = matches!(state, "T" | "t");
    Some(Process { pid, parent, group, session, threads, began, alive, stopped })
}

/// The children of one process, over all its threads; `None` if the kernel does not tell.
pub(super) fn children(pid: i32) -> Option<Vec<i32>> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        add_children(task.path(), &mut found).ok()?;
    }
    Some(found)
}

/// Adds the children of one thread.
pub(super) fn add_children(task: impl AsRef<Path>, found: &mut Vec<i32>) -> io::Result<()> {
    let (mut text, task) = (Vec::new(), task.as_ref());
    match read_pages(&task.join("children"), &mut text) {
        Ok(()) => {}
        // A thread that has just ended; its children went to another thread of the same process.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !task.join("stat").exists() => {}
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
        Err(error) => return Err(error),
    }
    let numbers =
        text.split(|byte| *byte == b' ').filter_map(|one| std::str::from_utf8(one).ok()?.parse::<i32>().ok());
    found.extend(numbers);
    Ok(())
}

fn read_pages(path: &Path, text: &mut Vec<u8>) -> io::Result<()> {
    let file = open(path)?;
    let mut page = [0; CHILDREN];
    loop {
        let count = rustix::io::read(&file, &mut page)?;
        text.extend_from_slice(&page[..count]);
        if count < CHILDREN - NUMBER {
            return Ok(());
        }
    }
}

/// A whole file of `/proc`. None tells its size before, which makes `fs::read` begin with 32 bytes.
fn whole(path: String) -> io::Result<Vec<u8>> {
    let mut text = Vec::with_capacity(ROOM);
    fs::File::open(path)?.read_to_end(&mut text)?;
    Ok(text)
}

fn open(path: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

pub(super) fn everybody() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The key in a process's environment, if it is of this session.
pub(super) fn marked(pid: i32, session: &str) -> Marked {
    let Ok(environment) = whole(format!("/proc/{pid}/environ")) else { return Marked::No };
    for variable in environment.split(|byte| *byte == 0) {
        let Some(value) = variable.strip_prefix(MARKER.as_bytes()).and_then(|rest| rest.strip_prefix(b"="))
        else {
            continue;
        };
        let text = std::str::from_utf8(value).unwrap_or_default();
        let key = text.strip_prefix(session).and_then(|rest| rest.strip_prefix('-'));
        return key.and_then(|key| key.parse().ok()).map_or(Marked::Other, Marked::Ours);
    }
    Marked::No
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marked {
    Ours(u64),
    /// Of another session.
    Other,
    No,
}

impl Process {
    /// One that is known by its number alone.
    pub(super) fn unseen(pid: i32) -> Self {
        Self { pid, parent: 0, group: pid, session: 0, threads: 1, began: 0, alive: true, stopped: false }
    }

    /// Its children; `None` if the kernel does not tell.
    pub(super) fn children(&self) -> Option<Vec<i32>> {
        // What has ended has left its children to others.
        if !self.alive {
            return Some(Vec::new());
        }
        if self.threads > 1 {
            return children(self.pid);
        }
        let mut found = Vec::new();
        add_children(format!("/proc/{0}/task/{0}", self.pid), &mut found).ok()?;
        Some(found)
    }

    pub(super) fn same(&self, other: &Self) -> bool {
        (self.pid, self.began) == (other.pid, other.began)
    }

    /// Its command line for messages, or its name in brackets.
    pub(crate) fn command(&self) -> String {
        let line = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        let words: Vec<_> = line
            .split(|byte| *byte == 0)
            .filter(|word| !word.is_empty())
            .map(String::from_utf8_lossy)
            .collect();
        if !words.is_empty() {
            return words.join(" ");
        }
        let name = fs::read_to_string(format!("/proc/{}/comm", self.pid)).unwrap_or_default();
        format!("[{}]", name.trim_end())
    }
}
