//! Linux: which processes belong to which tree, and their end.
//!
//! A tree is everything that came of one start. Its processes may leave their group (`setpgid`), their session (`setsid`) and
//! their parent (a double fork); they are found by their parents, groups and sessions, by what was known of them before, and
//! by a marker in the environment that they inherit.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};

use super::super::phase::Ended;
use super::super::signal::Signal;

/// The variable that every process of a tree inherits: `SESSION-KEY`.
pub(crate) const MARKER: &str = "DEVRUN_SESSION";

/// Orphans of this process's descendants become its children (`PR_SET_CHILD_SUBREAPER`).
pub(crate) fn adopt_orphans() -> io::Result<()> {
    // The argument is a flag in the disguise of a process id.
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// Waits until a child of ours has ended, and leaves it a zombie: its number stays taken, so that no late signal can meet a
/// stranger. [`Trees::forget`] reaps it.
pub(crate) async fn ended(pid: i32) -> io::Result<Ended> {
    let pid = raw(pid)?;
    let fd: OwnedFd = rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK)?;
    let fd = super::unix::readable(fd)?;
    loop {
        let mut ready = fd.readable().await?;
        match peek(pid)? {
            Some(ended) => return Ok(ended),
            None => ready.clear_ready(),
        }
    }
}

fn peek(pid: Pid) -> io::Result<Option<Ended>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let status = rustix::process::waitid(WaitId::Pid(pid), options)?;
    Ok(status.map(|status| {
        let signal = status.terminating_signal().and_then(Signal::from_number);
        match (status.exit_status(), signal) {
            (_, Some(signal)) => Ended::Signal(signal),
            (Some(status), None) => Ended::Status(status),
            (None, None) => Ended::Status(128 + status.terminating_signal().unwrap_or(0)),
        }
    }))
}

fn raw(pid: i32) -> io::Result<Pid> {
    Pid::from_raw(pid).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
}

/// One process, as `/proc/PID/stat` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its number.
    pub(crate) pid: i32,
    parent: i32,
    group: i32,
    session: i32,
    /// When it began, in clock ticks since boot: with the number it names the process for good.
    began: u64,
    /// It can still run: no zombie, or one whose other threads go on.
    alive: bool,
    /// It is stopped by a signal.
    pub(crate) stopped: bool,
}

fn process(pid: i32) -> Option<Process> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
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
    Some(Process { pid, parent, group, session, began, alive, stopped })
}

/// The children of one process, over all its threads; `None` if the kernel does not tell.
fn children(pid: i32) -> Option<Vec<i32>> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let mut path = task.path();
        path.push("children");
        match fs::read_to_string(&path) {
            Ok(text) => found.extend(text.split_ascii_whitespace().filter_map(|one| one.parse::<i32>().ok())),
            // A thread that has just ended; its children went to another thread of the same process.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound && !path.with_file_name("stat").exists() => {}
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
            Err(_) => return None,
        }
    }
    Some(found)
}

fn everybody() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The key in a process's environment, if it is of this session.
fn marked(pid: i32, session: &str) -> Marked {
    let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { return Marked::No };
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

enum Marked {
    Ours(u64),
    /// Of another session.
    Other,
    No,
}

/// A tree's first process: it leads its group.
#[derive(Debug, Clone, Copy)]
struct Leader {
    key: u64,
    began: u64,
}

/// All trees of one supervisor.
#[derive(Debug)]
pub(crate) struct Trees {
    session: String,
    me: i32,
    /// Orphans come to us.
    adopting: bool,
    leaders: HashMap<i32, Leader>,
    /// When the first tree began: nobody who is older can belong to us.
    first: u64,
    known: HashMap<(i32, u64), u64>,
}

impl Trees {
    pub(crate) fn new(session: String, adopting: bool) -> Self {
        let me = std::process::id() as i32;
        Self { session, me, adopting, leaders: HashMap::new(), first: u64::MAX, known: HashMap::new() }
    }

    /// The name of the supervisor that all this belongs to.
    pub(crate) fn session(&self) -> &str {
        &self.session
    }

    /// The variable that processes of a tree carry.
    pub(crate) fn marker(&self, key: u64) -> (String, String) {
        (MARKER.to_owned(), format!("{}-{key}", self.session))
    }

    /// A tree has begun with this child of ours.
    pub(crate) fn add(&mut self, key: u64, pid: i32) {
        // A child of ours that has ended is still there, as a zombie; a stranger's number must not be taken for it.
        if let Some(Process { began, .. }) = process(pid) {
            self.first = self.first.min(began);
            self.leaders.insert(pid, Leader { key, began });
        }
    }

    /// A tree has ended: its leader is reaped, so that its number may be used again.
    pub(crate) fn forget(&mut self, key: u64) {
        self.known.retain(|_, known| *known != key);
        self.release(key);
    }

    /// The leader of a tree is reaped, but what it left behind still belongs to the tree.
    pub(crate) fn release(&mut self, key: u64) {
        self.leaders.retain(|pid, leader| {
            if leader.key == key {
                reap(*pid);
            }
            leader.key != key
        });
    }

    fn leader(&self, key: u64) -> Option<i32> {
        self.leaders.iter().find(|(_, leader)| leader.key == key).map(|(pid, _)| *pid)
    }

    /// The living processes of a tree.
    pub(crate) fn members(&mut self, key: u64) -> Vec<Process> {
        let census = self.census();
        census.into_iter().filter(|(process, of)| *of == key && process.alive).map(|(one, _)| one).collect()
    }

    /// The living processes of all trees, those included whose leader is long gone.
    pub(crate) fn everything(&mut self) -> Vec<(Process, u64)> {
        let census = self.census();
        census.into_iter().filter(|(process, _)| process.alive).collect()
    }

    /// Sends a signal to every process of a tree, and wakes those that are stopped.
    pub(crate) fn signal(&mut self, key: u64, signal: Signal) {
        self.send(key, &[signal, Signal::CONT]);
    }

    /// Sends signals to every process of a tree, one after another.
    pub(crate) fn send(&mut self, key: u64, signals: &[Signal]) {
        let members = self.members(key);
        let leader = self.leader(key);
        for number in signals.iter().map(|signal| signal.number()) {
            if let Some(leader) = leader {
                send(-leader, number);
            }
            for one in members.iter().filter(|one| Some(one.group) != leader) {
                send(one.pid, number);
            }
        }
    }

    /// Sends a signal to the group of a tree's leader.
    pub(crate) fn signal_group(&self, key: u64, signal: Signal) {
        if let Some(leader) = self.leader(key) {
            send(-leader, signal.number());
        }
    }

    /// Kills a tree. Everything is stopped first, until a look finds nobody new: a fork in flight would escape otherwise.
    pub(crate) fn kill(&mut self, key: u64) {
        let mut stopped: Vec<Process> = Vec::new();
        for _ in 0..20 {
            let members = self.members(key);
            let known = |one: &&Process| stopped.iter().any(|other| other.same(one));
            let fresh: Vec<_> = members.iter().filter(|one| !known(one)).copied().collect();
            if fresh.is_empty() {
                break;
            }
            for one in &fresh {
                send(one.pid, libc::SIGSTOP);
            }
            stopped.extend(fresh);
        }
        if let Some(leader) = self.leader(key) {
            send(-leader, libc::SIGKILL);
        }
        for one in &stopped {
            // Between the look and now nobody else can have got the number unless it has ended since: look again.
            if process(one.pid).is_some_and(|now| now.began == one.began) {
                send(one.pid, libc::SIGKILL);
            }
        }
    }

    /// Reaps the orphans that came to us and have ended; never a leader, whose status is awaited elsewhere.
    pub(crate) fn reap_orphans(&mut self) {
        if !self.adopting {
            return;
        }
        let group = rustix::process::getpgrp().as_raw_nonzero().get();
        for pid in children(self.me).unwrap_or_default() {
            if self.leaders.contains_key(&pid) {
                continue;
            }
            if let Some(one) = process(pid)
                && !one.alive
                && (self.me == 1 || one.group != group || self.known.contains_key(&(pid, one.began)))
            {
                reap(pid);
                self.known.remove(&(pid, one.began));
            }
        }
    }

    /// Everybody who belongs to a tree of ours, with its key.
    fn census(&mut self) -> Vec<(Process, u64)> {
        let table = self.table();
        let mut keys: HashMap<i32, u64> = HashMap::new();
        for one in table.values() {
            if let Some(key) = self.known_key(one) {
                keys.insert(one.pid, key);
            }
        }
        // Parents may come later in the table than their children: until nothing is added.
        loop {
            let before = keys.len();
            for one in table.values() {
                if !keys.contains_key(&one.pid)
                    && let Some(key) = self.inherited_key(one, &keys, &table)
                {
                    keys.insert(one.pid, key);
                }
            }
            if keys.len() > before {
                continue;
            }
            let strays: Vec<_> = table.values().filter(|one| !keys.contains_key(&one.pid)).collect();
            for one in strays {
                if let Some(key) = self.stray_key(one) {
                    keys.insert(one.pid, key);
                }
            }
            if keys.len() == before {
                break;
            }
        }
        let census: Vec<_> =
            table.values().filter_map(|one| keys.get(&one.pid).map(|key| (*one, *key))).collect();
        self.known = census.iter().map(|(one, key)| ((one.pid, one.began), *key)).collect();
        census
    }

    /// Who may belong to us: our descendants if orphans come to us, else everybody who is younger than our first child.
    fn table(&self) -> HashMap<i32, Process> {
        if self.adopting
            && let Some(table) = self.descendants()
        {
            return table;
        }
        let all = everybody().into_iter().filter_map(process);
        all.filter(|one| one.began >= self.first && one.pid != self.me).map(|one| (one.pid, one)).collect()
    }

    fn descendants(&self) -> Option<HashMap<i32, Process>> {
        let mut table = HashMap::new();
        let mut queue = children(self.me)?;
        while let Some(pid) = queue.pop() {
            if let Some(one) = process(pid)
                && table.insert(pid, one).is_none()
            {
                queue.extend(children(pid)?);
            }
        }
        Some(table)
    }

    fn known_key(&self, one: &Process) -> Option<u64> {
        let leader =
            self.leaders.get(&one.pid).filter(|leader| leader.began == one.began || leader.began == 0);
        leader.map(|leader| leader.key).or_else(|| self.known.get(&(one.pid, one.began)).copied())
    }

    /// By its parent, its group or its session.
    fn inherited_key(
        &self,
        one: &Process,
        keys: &HashMap<i32, u64>,
        table: &HashMap<i32, Process>,
    ) -> Option<u64> {
        let of = |pid: i32| keys.get(&pid).copied();
        let group =
            |pid: i32| of(pid).filter(|_| table.get(&pid).is_some_and(|head| head.began <= one.began));
        of(one.parent)
            .or_else(|| self.leaders.get(&one.group).map(|leader| leader.key))
            .or_else(|| group(one.group))
            .or_else(|| group(one.session))
    }

    /// By its environment; an adopted one that hides it belongs to the youngest tree that is older than itself.
    fn stray_key(&self, one: &Process) -> Option<u64> {
        match marked(one.pid, &self.session) {
            Marked::Ours(key) => Some(key),
            Marked::Other => None,
            Marked::No if self.adopting && one.parent == self.me && one.session == one.pid => {
                let older = self.leaders.values().filter(|leader| leader.began <= one.began);
                older.max_by_key(|leader| (leader.began, leader.key)).map(|leader| leader.key)
            }
            Marked::No => None,
        }
    }
}

impl Process {
    fn same(&self, other: &Self) -> bool {
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

fn reap(pid: i32) {
    if let Ok(pid) = raw(pid) {
        let _ = rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    }
}

fn send(pid: i32, signal: i32) {
    // Never everybody, never our own group, never init.
    if pid == 0 || pid == 1 || pid == -1 {
        return;
    }
    // SAFETY: plain system call.
    unsafe { libc::kill(pid, signal) };
}
