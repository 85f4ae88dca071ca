//! Process trees known by their process groups alone, for systems without a usable `/proc`.
//!
//! A process that leaves its group is lost here.

use std::collections::HashMap;

use crate::supervise::signal::Signal;
use crate::supervise::sys::kill::{group_exists, kill_group};
use crate::supervise::sys::wait::reap;

use super::tree_id::TreeId;

/// The first process of a tree, which leads its group.
#[derive(Debug, Clone, Copy)]
struct Leader {
    pid: i32,
    /// Its status was taken: the number of the group is in use only as long as another process is in it.
    is_reaped: bool,
}

/// The process groups of one supervisor.
#[derive(Debug, Default)]
pub(super) struct ProcessGroups {
    leaders: HashMap<TreeId, Leader>,
}

impl ProcessGroups {
    pub(super) fn add(&mut self, tree: TreeId, pid: i32) {
        self.leaders.insert(tree, Leader { pid, is_reaped: false });
    }

    /// The exit of the leader is known. It is reaped, because a zombie would count as a member of the group.
    pub(super) fn leader_ended(&mut self, tree: TreeId) {
        if let Some(leader) = self.leaders.get_mut(&tree) {
            reap(leader.pid);
            leader.is_reaped = true;
        }
    }

    pub(super) fn forget(&mut self, tree: TreeId) {
        if let Some(leader) = self.leaders.remove(&tree)
            && !leader.is_reaped
        {
            reap(leader.pid);
        }
    }

    /// Whether this pid belongs to a leader that is not reaped.
    #[cfg(target_os = "linux")]
    pub(super) fn is_leader(&self, pid: i32) -> bool {
        self.leaders.values().any(|leader| leader.pid == pid && !leader.is_reaped)
    }

    /// The group of a tree, as long as a process is in it. Without one, its number may soon be another
    /// group's.
    pub(super) fn group(&self, tree: TreeId) -> Option<i32> {
        let leader = self.leaders.get(&tree)?;
        group_exists(leader.pid).then_some(leader.pid)
    }

    /// All groups that have a process.
    pub(super) fn groups(&self) -> Vec<(i32, TreeId)> {
        self.leaders.keys().filter_map(|tree| Some((self.group(*tree)?, *tree))).collect()
    }

    /// Sends signals to the group of a tree, one after another.
    pub(super) fn send(&self, tree: TreeId, signals: &[Signal]) {
        for signal in signals {
            if let Some(group) = self.group(tree) {
                kill_group(group, *signal);
            }
        }
    }
}
