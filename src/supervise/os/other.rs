//! Unix without `/proc`: a tree is its process group.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use rustix::process::{Pid, WaitId, WaitIdOptions};

use super::super::phase::Ended;
use super::super::signal::Signal;

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
pub(crate) fn ended_now(pid: i32) -> Option<Ended> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let status = rustix::process::waitid(WaitId::Pid(Pid::from_raw(pid)?), options).ok().flatten()?;
    let signal = status.terminating_signal().and_then(Signal::from_number);
    Some(match (status.exit_status(), signal) {
        (_, Some(signal)) => Ended::Signal(signal),
        (Some(status), None) => Ended::Status(status),
        (None, None) => Ended::Status(128),
    })
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
    leaders: HashMap<u64, i32>,
}

impl Trees {
    pub(crate) fn new(session: String, _adopting: bool) -> Self {
        Self { session, leaders: HashMap::new() }
    }

    /// The name of the supervisor that all this belongs to.
    pub(crate) fn session(&self) -> &str {
        &self.session
    }

    pub(crate) fn marker(&self, key: u64) -> (String, String) {
        ("DEVRUN_SESSION".to_owned(), format!("{}-{key}", self.session))
    }

    pub(crate) fn add(&mut self, key: u64, pid: i32) {
        self.leaders.insert(key, pid);
    }

    pub(crate) fn forget(&mut self, key: u64) {
        if let Some(pid) = self.leaders.remove(&key).and_then(Pid::from_raw) {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
            let _ = rustix::process::waitid(WaitId::Pid(pid), options);
        }
    }

    pub(crate) fn release(&mut self, key: u64) {
        self.forget(key);
    }

    pub(crate) fn members(&mut self, key: u64) -> Vec<Process> {
        let Some(pid) = self.leaders.get(&key).copied() else { return Vec::new() };
        if ended_now(pid).is_none() {
            return vec![Process { pid, stopped: false }];
        }
        // The zombie of the leader does not count: a group of zombies alone cannot be signalled on the BSDs (EPERM).
        // SAFETY: plain system call, signal 0 only asks.
        let alive = unsafe { libc::kill(-pid, 0) } == 0;
        if alive { vec![Process { pid, stopped: false }] } else { Vec::new() }
    }

    pub(crate) fn everything(&mut self) -> Vec<(Process, u64)> {
        let keys: Vec<_> = self.leaders.keys().copied().collect();
        keys.into_iter().flat_map(|key| self.members(key).into_iter().map(move |one| (one, key))).collect()
    }

    pub(crate) fn signal(&mut self, key: u64, signal: Signal) {
        self.send(key, &[signal, Signal::CONT]);
    }

    pub(crate) fn send(&mut self, key: u64, signals: &[Signal]) {
        signals.iter().for_each(|signal| self.send_group(key, signal.number()));
    }

    pub(crate) fn signal_group(&self, key: u64, signal: Signal) {
        self.send_group(key, signal.number());
    }

    pub(crate) fn kill(&mut self, key: u64) {
        self.send_group(key, libc::SIGKILL);
    }

    pub(crate) fn reap_orphans(&mut self) {}

    fn send_group(&self, key: u64, signal: i32) {
        if let Some(pid) = self.leaders.get(&key) {
            // SAFETY: plain system call; the leader was not reaped, so the group's number is its own.
            unsafe { libc::kill(-pid, signal) };
        }
    }
}
