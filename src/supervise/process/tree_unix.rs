//! Unix without a `/proc` like Linux's: a process tree is its process group.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use crate::supervise::phase::ProcessExit;
use crate::supervise::signal::Signal;
use crate::supervise::sys::fd::wait_readable;
use crate::supervise::sys::wait::{peek_exit, valid_pid};

use super::group::ProcessGroups;
use super::subreaper::Subreaper;
use super::tree_id::{TAG_VARIABLE, TreeId};

/// Delay after which an exit is looked for even without an event: the event is a help and no proof.
const EXIT_POLL_DELAY: Duration = Duration::from_secs(1);
/// Delays between looks for a status after the event, which comes a moment before the status can be read.
const FIRST_STATUS_DELAY: Duration = Duration::from_millis(1);
const MAX_STATUS_DELAY: Duration = Duration::from_millis(20);

/// Waits until a child has ended, and leaves it a zombie, so that its pid stays in use.
/// [`ProcessTrees::forget`] reaps it.
pub(crate) async fn wait_for_exit(pid: i32) -> io::Result<ProcessExit> {
    let pid = valid_pid(pid)?;
    // There is no event for a process that has ended already, nor on a system without kqueue.
    if let Ok(event) = exit_event(pid).and_then(wait_readable) {
        loop {
            if let Some(exit) = peek_exit(pid)? {
                return Ok(exit);
            }
            if tokio::time::timeout(EXIT_POLL_DELAY, event.readable()).await.is_ok() {
                break;
            }
        }
    }
    let mut delay = FIRST_STATUS_DELAY;
    loop {
        if let Some(exit) = peek_exit(pid)? {
            return Ok(exit);
        }
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(MAX_STATUS_DELAY);
    }
}

/// A kernel queue that becomes readable when a process ends. No child inherits it.
#[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
fn exit_event(pid: Pid) -> io::Result<OwnedFd> {
    use rustix::event::kqueue::{Event, EventFilter, EventFlags, ProcessEvents, kevent, kqueue};
    let queue = kqueue()?;
    let exit = EventFilter::Proc { pid, flags: ProcessEvents::EXIT };
    let exit = Event::new(exit, EventFlags::ADD | EventFlags::ONESHOT, std::ptr::null_mut());
    let mut none: [Event; 0] = [];
    // SAFETY: the filter names a process, not a descriptor that might be closed.
    unsafe { kevent(&queue, &[exit], &mut none, Some(Duration::ZERO)) }?;
    Ok(queue)
}

#[cfg(not(any(target_vendor = "apple", target_os = "freebsd")))]
fn exit_event(_pid: Pid) -> io::Result<OwnedFd> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A process group with at least one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    group: i32,
}

impl Process {
    /// The pid of its leader.
    pub(crate) fn pid(&self) -> i32 {
        self.group
    }

    /// Always `false`: this is not known here.
    pub(crate) fn is_stopped(&self) -> bool {
        false
    }

    /// Its name in messages.
    pub(crate) fn command(&self) -> String {
        format!("process group {}", self.group)
    }
}

/// All process trees of one supervisor.
#[derive(Debug)]
pub(crate) struct ProcessTrees {
    supervisor: String,
    last: TreeId,
    groups: ProcessGroups,
}

impl ProcessTrees {
    /// `supervisor` is a name that no other supervisor on this machine has.
    pub(crate) fn new(supervisor: String, _subreaper: Subreaper) -> Self {
        Self { supervisor, last: TreeId::default(), groups: ProcessGroups::default() }
    }

    /// The name of the supervisor.
    pub(crate) fn supervisor(&self) -> &str {
        &self.supervisor
    }

    /// The number of a tree that is about to start.
    pub(crate) fn new_tree(&mut self) -> TreeId {
        self.last = self.last.next();
        self.last
    }

    /// The variable that every process of a tree inherits.
    pub(crate) fn tag(&self, tree: TreeId) -> (&'static str, String) {
        (TAG_VARIABLE, tree.tag(&self.supervisor))
    }

    pub(crate) fn add(&mut self, tree: TreeId, pid: i32) {
        self.groups.add(tree, pid);
    }

    pub(crate) fn leader_ended(&mut self, tree: TreeId) {
        self.groups.leader_ended(tree);
    }

    pub(crate) fn forget(&mut self, tree: TreeId) {
        self.groups.forget(tree);
    }

    pub(crate) fn release_leader(&mut self, tree: TreeId) {
        self.groups.forget(tree);
    }

    pub(crate) fn members(&mut self, tree: TreeId) -> Vec<Process> {
        self.groups.group(tree).map(|group| Process { group }).into_iter().collect()
    }

    pub(crate) fn all_members(&mut self) -> Vec<(Process, TreeId)> {
        self.groups.groups().into_iter().map(|(group, tree)| (Process { group }, tree)).collect()
    }

    pub(crate) fn signal(&mut self, tree: TreeId, signal: Signal) {
        self.groups.send(tree, &[signal, Signal::CONT]);
    }

    pub(crate) fn send(&mut self, tree: TreeId, signals: &[Signal]) {
        self.groups.send(tree, signals);
    }

    pub(crate) fn signal_group(&self, tree: TreeId, signal: Signal) {
        self.groups.send(tree, &[signal]);
    }

    pub(crate) fn kill(&mut self, tree: TreeId) {
        self.groups.send(tree, &[Signal::KILL]);
    }

    pub(crate) fn reap_orphans(&mut self, _now: Instant) -> Option<Instant> {
        None
    }
}
