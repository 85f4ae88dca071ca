//! The process trees of a supervisor: their signals, their orphans, and the reports to the orphan killer.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::supervise::options::Options;
use crate::supervise::orphan_killer::OrphanKiller;
use crate::supervise::process::{ProcessTrees, TreeId};
use crate::supervise::signal::Signal;
use crate::supervise::sys::kill::kill_process;

/// Maximum number of rounds of SIGKILL at the end, and the delay between two rounds.
const MAX_KILL_ROUNDS: u32 = 100;
const KILL_ROUND_DELAY: Duration = Duration::from_millis(1);
/// Maximum number of processes that a message names.
const MAX_NAMED_PROCESSES: usize = 5;

/// The process trees that exist.
#[derive(Debug)]
pub(super) struct TrackedTrees {
    trees: ProcessTrees,
    orphan_killer: Option<OrphanKiller>,
    /// Trees that are gone, which the orphan killer does not know yet.
    unreported: Vec<TreeId>,
    /// When to look for ended orphans even if no signal announces one.
    reap_at: Option<Instant>,
}

impl TrackedTrees {
    pub(super) fn new(options: &Options) -> Self {
        let trees = ProcessTrees::new(supervisor_name(), options.subreaper);
        let orphan_killer = options.orphan_killer.clone();
        if let Some(orphan_killer) = &orphan_killer {
            orphan_killer.supervisor_started(trees.supervisor());
        }
        Self { trees, orphan_killer, unreported: Vec::new(), reap_at: None }
    }

    /// A new identity, and the variable that marks the processes of this tree.
    pub(super) fn new_tree(&mut self) -> (TreeId, (&'static str, String)) {
        let tree = self.trees.new_tree();
        (tree, self.trees.tag(tree))
    }

    /// Records the leader of a tree.
    pub(super) fn started(&mut self, tree: TreeId, pid: i32) {
        self.trees.add(tree, pid);
        self.report(Some((tree, pid)));
    }

    pub(super) fn leader_ended(&mut self, tree: TreeId) {
        self.trees.leader_ended(tree);
    }

    /// Forgets a tree.
    pub(super) fn remove(&mut self, tree: TreeId) {
        self.trees.forget(tree);
        self.unreported.push(tree);
    }

    /// Forgets the leader of a tree. Its other processes may run until the supervisor ends.
    pub(super) fn release_leader(&mut self, tree: TreeId) {
        self.trees.release_leader(tree);
        self.unreported.push(tree);
    }

    /// The pids of the processes of a tree.
    pub(super) fn members(&mut self, tree: TreeId) -> Vec<i32> {
        self.trees.members(tree).iter().map(|process| process.pid()).collect()
    }

    /// Pids and command lines of some processes of a tree, for a message.
    pub(super) fn examples(&mut self, tree: TreeId) -> Vec<(u32, String)> {
        let members = self.trees.members(tree).into_iter().take(MAX_NAMED_PROCESSES);
        members.map(|process| (process.pid() as u32, process.command())).collect()
    }

    /// Whether every process of every tree is stopped by a signal.
    pub(super) fn are_all_stopped(&mut self) -> bool {
        self.trees.all_members().iter().all(|(process, _)| process.is_stopped())
    }

    /// Sends the processes of a tree a signal that ends them. Stopped processes continue to handle it.
    pub(super) fn signal(&mut self, tree: TreeId, signal: Signal) {
        self.trees.signal(tree, signal);
    }

    /// Sends the leader of a tree a signal that ends it. The stopped processes of its group continue.
    pub(super) fn signal_leader(&mut self, tree: TreeId, pid: i32, signal: Signal) {
        kill_process(pid, signal);
        self.trees.signal_group(tree, Signal::CONT);
    }

    /// Sends all processes of a tree but the leader a signal that ends them. Without `/proc` none of them is known.
    pub(super) fn signal_rest(&mut self, tree: TreeId, leader: i32, signal: Signal) {
        for pid in self.members(tree).into_iter().filter(|pid| *pid != leader) {
            kill_process(pid, signal);
            kill_process(pid, Signal::CONT);
        }
    }

    /// Sends the processes of a tree only this signal.
    pub(super) fn send(&mut self, tree: TreeId, signal: Signal) {
        self.trees.send(tree, &[signal]);
    }

    /// Sends the process group of the leader a signal.
    pub(super) fn signal_group(&self, tree: TreeId, signal: Signal) {
        self.trees.signal_group(tree, signal);
    }

    pub(super) fn kill(&mut self, tree: TreeId) {
        self.trees.kill(tree);
    }

    /// Reaps orphans that have ended.
    pub(super) fn reap_orphans(&mut self, now: Instant) {
        self.reap_at = self.trees.reap_orphans(now);
    }

    /// Reaps orphans if that is due without a signal.
    pub(super) fn reap_orphans_if_due(&mut self, now: Instant) {
        if self.reap_at.is_some_and(|at| at <= now) {
            self.reap_orphans(now);
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.reap_at
    }

    /// Reports the trees that are gone to the orphan killer. A delayed report is safe, because the orphan
    /// killer tells another process with the same pid by its start time.
    pub(super) fn report_gone(&mut self) {
        self.report(None);
    }

    fn report(&mut self, started: Option<(TreeId, i32)>) {
        let gone = std::mem::take(&mut self.unreported);
        if let Some(orphan_killer) = &self.orphan_killer {
            orphan_killer.trees_changed(self.trees.supervisor(), &gone, started);
        }
    }

    /// Kills every process that is left, and reports the end of the supervisor.
    pub(super) fn kill_all(&mut self) {
        for _ in 0..MAX_KILL_ROUNDS {
            let left: BTreeSet<TreeId> = self.trees.all_members().into_iter().map(|(_, tree)| tree).collect();
            if left.is_empty() {
                break;
            }
            left.into_iter().for_each(|tree| self.trees.kill(tree));
            std::thread::sleep(KILL_ROUND_DELAY);
        }
        self.trees.reap_orphans(Instant::now());
        if let Some(orphan_killer) = &self.orphan_killer {
            orphan_killer.supervisor_ended(self.trees.supervisor());
        }
    }
}

/// A name that no other supervisor on this machine has.
fn supervisor_name() -> String {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:x}.{:x}", std::process::id(), RandomState::new().hash_one(since_epoch))
}
