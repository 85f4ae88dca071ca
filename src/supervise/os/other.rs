//! Unix without `/proc`: a tree is its process group.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use super::super::phase::ProcessExit;
use super::super::signal::Signal;
use super::group::Groups;
use super::unix::readable;
use super::wait::{number, peek};

/// The variable that every process of a tree inherits: `SESSION-KEY`.
pub(crate) const MARKER: &str = "DEVRUN_SESSION";
/// The announcement of an end is a help and no proof: without one it is looked at so often.
const UNANNOUNCED: Duration = Duration::from_secs(1);
/// An end is announced a moment before its status can be asked for.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(20);

/// Nothing adopts orphans here.
pub(crate) fn adopt_orphans() -> io::Result<()> {
    Ok(())
}

/// Waits until a child of ours has ended, and leaves it a zombie: its number stays taken. [`Trees::forget`] reaps it.
pub(crate) async fn ended(pid: i32) -> io::Result<ProcessExit> {
    let pid = number(pid)?;
    // One that has ended already cannot be announced, nor any where the system does not do that.
    if let Ok(end) = announcement(pid).and_then(readable) {
        loop {
            if let Some(ended) = peek(pid)? {
                return Ok(ended);
            }
            if tokio::time::timeout(UNANNOUNCED, end.readable()).await.is_ok() {
                break;
            }
        }
    }
    let mut pause = FIRST_LOOK;
    loop {
        if let Some(ended) = peek(pid)? {
            return Ok(ended);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_LOOK);
    }
}

/// A kernel queue that becomes readable when a process ends. No child inherits it.
#[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
fn announcement(pid: Pid) -> io::Result<OwnedFd> {
    use rustix::event::kqueue::{Event, EventFilter, EventFlags, ProcessEvents, kevent, kqueue};
    let queue = kqueue()?;
    let end = EventFilter::Proc { pid, flags: ProcessEvents::EXIT };
    let end = Event::new(end, EventFlags::ADD | EventFlags::ONESHOT, std::ptr::null_mut());
    let mut none: [Event; 0] = [];
    // SAFETY: the filter is about a process and not about a descriptor that might be closed.
    unsafe { kevent(&queue, &[end], &mut none, Some(Duration::ZERO)) }?;
    Ok(queue)
}

#[cfg(not(any(target_vendor = "apple", target_os = "freebsd")))]
fn announcement(_pid: Pid) -> io::Result<OwnedFd> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A group that lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its leader's number.
    pub(crate) pid: i32,
    /// Not known here.
    pub(crate) stopped: bool,
}

impl Process {
    pub(crate) fn command(&self) -> String {
        format!("process group {}", self.pid)
    }
}

/// All trees of one supervisor.
#[derive(Debug)]
pub(crate) struct Trees {
    session: String,
    groups: Groups,
}

impl Trees {
    pub(crate) fn new(session: String, _adopting: bool) -> Self {
        Self { session, groups: Groups::default() }
    }

    /// The name of the supervisor that all this belongs to.
    pub(crate) fn session(&self) -> &str {
        &self.session
    }

    pub(crate) fn marker(&self, key: u64) -> (String, String) {
        (MARKER.to_owned(), format!("{}-{key}", self.session))
    }

    pub(crate) fn add(&mut self, key: u64, pid: i32) {
        self.groups.add(key, pid);
    }

    pub(crate) fn leader_ended(&mut self, key: u64) {
        self.groups.leader_ended(key);
    }

    pub(crate) fn forget(&mut self, key: u64) {
        self.groups.forget(key);
    }

    pub(crate) fn release(&mut self, key: u64) {
        self.groups.forget(key);
    }

    pub(crate) fn members(&mut self, key: u64) -> Vec<Process> {
        self.groups.member(key).map(|pid| Process { pid, stopped: false }).into_iter().collect()
    }

    pub(crate) fn everything(&mut self) -> Vec<(Process, u64)> {
        let members = self.groups.members().into_iter();
        members.map(|(pid, key)| (Process { pid, stopped: false }, key)).collect()
    }

    pub(crate) fn signal(&mut self, key: u64, signal: Signal) {
        self.groups.send(key, &[signal, Signal::CONT]);
    }

    pub(crate) fn send(&mut self, key: u64, signals: &[Signal]) {
        self.groups.send(key, signals);
    }

    pub(crate) fn signal_group(&self, key: u64, signal: Signal) {
        self.groups.send(key, &[signal]);
    }

    pub(crate) fn kill(&mut self, key: u64) {
        self.groups.send(key, &[Signal::KILL]);
    }

    pub(crate) fn reap_orphans(&mut self, _now: Instant) -> Option<Instant> {
        None
    }
}
