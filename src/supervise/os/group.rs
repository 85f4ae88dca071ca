//! Trees by their process groups alone: all that can be told where there is no `/proc`, or where it is another namespace's.
//!
//! A process that leaves its group is out of sight here.

use std::collections::HashMap;

use super::super::signal::Signal;
use super::wait::reap;

/// A tree's first process, which led its group.
#[derive(Debug, Clone, Copy)]
struct Leader {
    pid: i32,
    /// It has ended and was reaped: the group's number is taken only as long as somebody else is in it.
    reaped: bool,
}

/// The groups of one supervisor.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    leaders: HashMap<u64, Leader>,
}

impl Groups {
    pub(crate) fn add(&mut self, key: u64, pid: i32) {
        self.leaders.insert(key, Leader { pid, reaped: false });
    }

    /// How the leader has ended is known: from now on only the others of its group count. A zombie would count as one.
    pub(crate) fn leader_ended(&mut self, key: u64) {
        if let Some(leader) = self.leaders.get_mut(&key) {
            reap(leader.pid);
            leader.reaped = true;
        }
    }

    pub(crate) fn forget(&mut self, key: u64) {
        if let Some(leader) = self.leaders.remove(&key)
            && !leader.reaped
        {
            reap(leader.pid);
        }
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn is_leader(&self, pid: i32) -> bool {
        self.leaders.values().any(|leader| leader.pid == pid && !leader.reaped)
    }

    /// The number of the group, as long as somebody is in it. The guard asks too, whose child the leader is not: when it is
    /// gone, the number may soon be a stranger's.
    pub(crate) fn member(&self, key: u64) -> Option<i32> {
        let leader = self.leaders.get(&key)?;
        // SAFETY: plain system call, signal 0 only asks.
        (unsafe { libc::kill(-leader.pid, 0) } == 0).then_some(leader.pid)
    }

    /// All groups that somebody is in, with their keys.
    pub(crate) fn members(&self) -> Vec<(i32, u64)> {
        self.leaders.keys().filter_map(|key| Some((self.member(*key)?, *key))).collect()
    }

    pub(crate) fn send(&self, key: u64, signals: &[Signal]) {
        for signal in signals {
            if let Some(pid) = self.member(key).filter(|pid| *pid > 1) {
                // SAFETY: plain system call; somebody is in the group, so that its number is its own.
                unsafe { libc::kill(-pid, signal.number()) };
            }
        }
    }
}
