//! Unix without `/proc`: a tree is its process group.

use std::io;
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions};

use super::super::phase::Ended;
use super::super::signal::Signal;
use super::group::Groups;

/// Nothing adopts orphans here.
pub(crate) fn adopt_orphans() -> io::Result<()> {
    Ok(())
}

/// Waits until a child of ours has ended, and leaves it a zombie: its number stays taken.
pub(crate) async fn ended(pid: i32) -> io::Result<Ended> {
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(ended) = ended_now(pid) {
            return Ok(ended);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// How a child of ours has ended, if it has.
fn ended_now(pid: i32) -> Option<Ended> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let status = rustix::process::waitid(WaitId::Pid(Pid::from_raw(pid)?), options).ok().flatten()?;
    let signal = status.terminating_signal().and_then(Signal::from_number);
    Some(match (status.exit_status(), signal) {
        (_, Some(signal)) => Ended::Signal(signal),
        (Some(status), None) => Ended::Status(status),
        (None, None) => Ended::Status(128),
    })
}

/// Nobody tells here when a child of ours is stopped.
pub(crate) fn stopped(_pid: i32) -> Option<Signal> {
    None
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
        ("DEVRUN_SESSION".to_owned(), format!("{}-{key}", self.session))
    }

    pub(crate) fn mark(&self, _key: u64) -> Option<u64> {
        None
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
