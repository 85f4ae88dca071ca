//! Which processes belong to which tree, and how a tree is signalled and killed.
//!
//! A tree is everything that comes from one start. Its processes may leave their group (`setpgid`), their
//! session (`setsid`) and their parent (a double fork). Linux's `/proc` finds them by parent, group and
//! session, by what an earlier scan found, and by a variable in their environment. Without such a `/proc` a
//! tree is the process group of its leader: one [`Process`] stands for the group, and a process that leaves
//! the group is lost.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use super::inherited::inherited_children;
use crate::supervise::signal::Signal;
use crate::supervise::sys::pid::Pid;
use crate::supervise::sys::procfs::{
    Identity, Process, all_pids, children, descendants, is_main_thread, shows_this_process,
};
use crate::supervise::sys::signals::{self, group_of, kill_group, kill_process, may_signal, own_group};
use crate::supervise::sys::wait::{reap, some_zombie};

/// Environment variable that every process of a tree inherits: `SUPERVISOR-TREE`.
pub(crate) const TAG_VARIABLE: &str = "DEVRUN_SESSION";
/// Delay after which PID 1 reaps a zombie of its own group. Until then other code of this process may wait
/// for the zombie.
const UNCLAIMED_ZOMBIE_DELAY: Duration = Duration::from_secs(2);
/// Delay between two looks for zombies without `/proc`. There a zombie that other code waits for hides the
/// next ones.
const UNSEEN_ZOMBIE_DELAY: Duration = Duration::from_millis(50);
/// Maximum number of scans for processes that a tree forks while it is being killed.
const MAX_KILL_SCANS: u32 = 20;
/// Number of scans in a row that must find no process before a tree counts as gone: a scan misses a process that
/// forks and exits at the same moment.
const QUIET_SCANS: u32 = 3;
/// The first process of a PID namespace.
const INIT: Pid = Pid::new(1);
/// The tree of the processes that this process did not start. They are reaped, and never signalled.
const INHERITED: TreeId = TreeId(0);

/// Whether devrun adopts the orphans of its children (Linux `PR_SET_CHILD_SUBREAPER`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Subreaper {
    /// No, because adoption changes the whole host process. The default of the library.
    #[default]
    No,
    /// Yes: no process that a child leaves behind escapes. The supervisor then handles `SIGCHLD`. The program
    /// uses this.
    Yes,
}

/// Number of a process tree: all processes that come from one start, of a generation or of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct TreeId(pub(crate) u64);

/// The first process of a tree, which leads its group.
#[derive(Debug, Clone, Copy)]
struct Leader {
    tree: TreeId,
    start_time: u64,
    /// Its status was taken. Without `/proc` this happens before the tree has ended.
    is_reaped: bool,
}

/// All process trees of one supervisor.
#[derive(Debug)]
pub(crate) struct ProcessTrees {
    /// The name of the supervisor.
    pub(crate) supervisor: String,
    last: TreeId,
    own_pid: Pid,
    /// Orphans become children of this process.
    adopts: bool,
    /// Whether `/proc` shows processes. It may be missing, or show another PID namespace, whose pids would be
    /// other processes'.
    has_procfs: bool,
    leaders: HashMap<Pid, Leader>,
    /// A leader was started by another thread than the main one.
    has_leader_of_other_thread: bool,
    /// When this process started: no older process can belong to a tree.
    own_start_time: u64,
    /// The members that the last scan found.
    known: HashMap<Identity, TreeId>,
    /// The last scan found adopted processes that had just ended, of these trees (`None`: unknown). Each may
    /// have left a child that the scan missed.
    just_ended: Vec<Option<TreeId>>,
    /// Trees without a leader whose processes may run on.
    released: HashSet<TreeId>,
    /// Processes that carry the variable of another supervisor, whose environment is not read again.
    foreign: HashSet<Identity>,
    /// Zombies of this process's own group, and when they were first seen.
    unclaimed: HashMap<Identity, Instant>,
}

impl ProcessTrees {
    /// `supervisor` is a name that no other supervisor on this machine has.
    pub(crate) fn new(supervisor: String, subreaper: Subreaper) -> Self {
        let own_pid = Pid::own();
        let adopts = cfg!(target_os = "linux") && subreaper == Subreaper::Yes;
        let inherited = inherited_children().iter().filter(|_| adopts);
        Self {
            supervisor,
            last: INHERITED,
            own_pid,
            adopts,
            has_procfs: shows_this_process(),
            leaders: HashMap::new(),
            has_leader_of_other_thread: false,
            own_start_time: Process::read(own_pid).map_or(u64::MAX, |own| own.start_time),
            known: inherited.map(|child| (*child, INHERITED)).collect(),
            just_ended: Vec::new(),
            released: HashSet::new(),
            foreign: HashSet::new(),
            unclaimed: HashMap::new(),
        }
    }

    /// The number of a tree that is about to start.
    pub(crate) fn new_tree(&mut self) -> TreeId {
        self.last.0 += 1;
        self.last
    }

    /// The variable that every process of a tree inherits.
    pub(crate) fn tag(&self, tree: TreeId) -> (&'static str, String) {
        (TAG_VARIABLE, format!("{}-{}", self.supervisor, tree.0))
    }

    /// A tree has started with this child, on this thread.
    pub(crate) fn add(&mut self, tree: TreeId, pid: Pid) {
        self.has_leader_of_other_thread |= !is_main_thread();
        // A child that has ended is still there, as a zombie. Another process with its pid is no child.
        let leader = if self.has_procfs { Process::read(pid) } else { Some(Process::of_group(pid)) };
        if let Some(Process { start_time, .. }) = leader {
            self.leaders.insert(pid, Leader { tree, start_time, is_reaped: false });
        }
    }

    /// The exit of a tree's leader is known. Without `/proc` it is reaped, because a zombie would count as a
    /// member of the group.
    pub(crate) fn leader_ended(&mut self, tree: TreeId) {
        if self.has_procfs {
            return;
        }
        for (pid, leader) in self.leaders.iter_mut().filter(|(_, leader)| leader.tree == tree) {
            reap(*pid);
            leader.is_reaped = true;
        }
    }

    /// A tree has ended: its leader is reaped, so that its pid may be used again.
    pub(crate) fn forget(&mut self, tree: TreeId) {
        self.known.retain(|_, known| *known != tree);
        self.reap_leader(tree);
    }

    /// Reaps the leader of a tree. The processes that it left behind still belong to the tree.
    pub(crate) fn release_leader(&mut self, tree: TreeId) {
        self.released.insert(tree);
        self.reap_leader(tree);
    }

    fn reap_leader(&mut self, tree: TreeId) {
        for (pid, leader) in self.leaders.extract_if(|_, leader| leader.tree == tree) {
            if !leader.is_reaped {
                reap(pid);
            }
        }
    }

    /// The living processes of a tree.
    pub(crate) fn members(&mut self, tree: TreeId) -> Vec<Process> {
        let members = self.all_members().into_iter().filter(|(_, of)| *of == tree);
        members.map(|(process, _)| process).collect()
    }

    /// Whether no process of a tree is left. Kills what is left of other trees that have ended, because an
    /// earlier scan has missed it.
    pub(crate) fn is_gone(&mut self, tree: TreeId) -> bool {
        (0..QUIET_SCANS).all(|_| {
            let found = self.kill_strays();
            !found.contains(&tree) && !self.just_ended.iter().any(|of| of.is_none_or(|of| of == tree))
        })
    }

    /// Kills the processes of trees that have ended; returns the trees that have processes.
    fn kill_strays(&mut self) -> BTreeSet<TreeId> {
        let found: BTreeSet<TreeId> = self.all_members().into_iter().map(|(_, tree)| tree).collect();
        let has_leader = |tree| self.leaders.values().any(|leader| leader.tree == tree);
        let is_stray = |tree: &TreeId| !self.released.contains(tree) && !has_leader(*tree);
        for tree in found.iter().copied().filter(is_stray).collect::<Vec<_>>() {
            self.kill(tree);
        }
        found
    }

    /// Sends signals to every process of a tree, one after another. Returns a process that runs as another user
    /// and therefore got none.
    pub(crate) fn send(&mut self, tree: TreeId, signals: &[Signal]) -> Option<Pid> {
        let members = self.members(tree);
        let leader = self.leader(tree);
        for signal in signals {
            if let Some(leader) = leader {
                kill_group(leader, *signal);
            }
            for process in members.iter().filter(|process| Some(process.group) != leader) {
                kill_process(process.pid, *signal);
            }
        }
        members.iter().map(|process| process.pid).find(|pid| !may_signal(*pid))
    }

    /// Sends a signal to the process group of a tree's leader.
    pub(crate) fn signal_group(&self, tree: TreeId, signal: Signal) {
        if let Some(leader) = self.leader(tree) {
            kill_group(leader, signal);
        }
    }

    /// Kills a tree. Every process is stopped first, until a scan finds no new one: a fork in progress would
    /// escape otherwise. Returns a process that cannot be killed, because it runs as another user.
    pub(crate) fn kill(&mut self, tree: TreeId) -> Option<Pid> {
        let mut stopped: HashSet<Identity> = HashSet::new();
        for _ in 0..MAX_KILL_SCANS {
            let mut fresh: Vec<_> = self.members(tree).iter().map(Process::identity).collect();
            fresh.retain(|process| !stopped.contains(process));
            if fresh.is_empty() {
                break;
            }
            fresh.iter().for_each(|(pid, _)| kill_process(*pid, Signal::STOP));
            stopped.extend(fresh);
        }
        if let Some(leader) = self.leader(tree) {
            kill_group(leader, Signal::KILL);
        }
        let mut refused = None;
        for (pid, start_time) in stopped {
            // A process that has ended since the scan may have left its pid to another one.
            if self.read(pid).is_some_and(|now| now.start_time == start_time) {
                kill_process(pid, Signal::KILL);
                refused = refused.or_else(|| (!may_signal(pid)).then_some(pid));
            }
        }
        refused
    }

    /// Kills all trees once. Returns whether a process was left, or may have been left.
    pub(crate) fn kill_all(&mut self) -> bool {
        let left: BTreeSet<TreeId> = self.all_members().into_iter().map(|(_, tree)| tree).collect();
        let is_left = !left.is_empty() || !self.just_ended.is_empty();
        for tree in left {
            self.kill(tree);
        }
        is_left
    }

    /// Reaps orphans that became children of this process and have ended, but no leader, because another task
    /// waits for its status. Then kills what is left of trees that have ended, if one of these orphans may come
    /// from there. Returns when to reap again even without an event.
    pub(crate) fn reap_orphans(&mut self, now: Instant) -> Option<Instant> {
        if !self.adopts {
            return None;
        }
        if !self.has_procfs {
            return self.reap_unseen_orphans(now);
        }
        // Most often the zombie was a leader, and is reaped already: this takes one system call.
        if some_zombie().is_none() {
            self.unclaimed.clear();
            return None;
        }
        let own_group = own_group();
        let before = std::mem::take(&mut self.unclaimed);
        let mut stray_ended = false;
        for pid in children(self.own_pid).unwrap_or_default() {
            if self.leaders.contains_key(&pid) {
                continue;
            }
            // What other code of this process has started, such as git, is in its own group, and that code
            // waits for it. No file of `/proc` is read for the others, because there may be thousands.
            let group = group_of(pid);
            if group != own_group {
                stray_ended |= reap(pid) && !self.leaders.contains_key(&group);
                continue;
            }
            let Some(zombie) = Process::read(pid).filter(|child| !child.is_alive) else { continue };
            let identity = zombie.identity();
            if self.known.remove(&identity).is_some() {
                reap(pid);
            } else if self.own_pid == INIT {
                let since = before.get(&identity).copied().unwrap_or(now);
                if now.saturating_duration_since(since) >= UNCLAIMED_ZOMBIE_DELAY {
                    reap(pid);
                } else {
                    self.unclaimed.insert(identity, since);
                }
            }
        }
        if stray_ended {
            self.kill_strays();
        }
        self.unclaimed.values().min().map(|since| *since + UNCLAIMED_ZOMBIE_DELAY)
    }

    /// Does the same without `/proc`: one zombie after another, up to the first that other code may wait for.
    fn reap_unseen_orphans(&mut self, now: Instant) -> Option<Instant> {
        while let Some(pid) = some_zombie() {
            let is_of_own_group = group_of(pid) == own_group();
            let is_leader = self.leaders.get(&pid).is_some_and(|leader| !leader.is_reaped);
            let since = *self.unclaimed.entry((pid, 0)).or_insert(now);
            let is_fresh = now.saturating_duration_since(since) < UNCLAIMED_ZOMBIE_DELAY;
            if is_leader || (is_of_own_group && is_fresh) {
                return Some(now + UNSEEN_ZOMBIE_DELAY);
            }
            reap(pid);
            self.unclaimed.remove(&(pid, 0));
        }
        self.unclaimed.clear();
        None
    }

    /// The pid of a tree's leader; `None` if another process may have the pid now.
    fn leader(&self, tree: TreeId) -> Option<Pid> {
        let (pid, leader) = self.leaders.iter().find(|(_, leader)| leader.tree == tree)?;
        if self.adopts && self.has_procfs {
            // It is a child that was not reaped, so that its pid stays in use.
            return Some(*pid);
        }
        // The orphan killer is not the parent, and learns late that the leader has ended.
        self.read(*pid).is_some_and(|now| now.start_time == leader.start_time).then_some(*pid)
    }

    /// Reads a process, or without `/proc` the group with this number. `None` if there is none.
    fn read(&self, pid: Pid) -> Option<Process> {
        if self.has_procfs {
            return Process::read(pid);
        }
        // A group without processes has ended, and its number may soon be another group's.
        signals::group_exists(pid).then(|| Process::of_group(pid))
    }

    /// The living processes of all trees, even if the leader has ended.
    pub(crate) fn all_members(&mut self) -> Vec<(Process, TreeId)> {
        let candidates = self.candidates();
        let known = candidates.values().filter_map(|one| Some((one.pid, self.known_tree(one)?)));
        let mut trees: HashMap<Pid, TreeId> = known.collect();
        // A child may come before its parent, so this goes on until a round adds nothing. Variables are read
        // only of processes that nothing else explains.
        let mut reads_variables = false;
        loop {
            let before = trees.len();
            for process in candidates.values() {
                if trees.contains_key(&process.pid) {
                    continue;
                }
                let tree = if reads_variables {
                    self.stray_tree(process)
                } else {
                    self.inherited_tree(process, &trees, &candidates)
                };
                trees.extend(tree.map(|tree| (process.pid, tree)));
            }
            let has_grown = trees.len() > before;
            if !has_grown && reads_variables {
                break;
            }
            reads_variables = !has_grown;
        }
        let found = candidates.values().filter_map(|one| Some((*one, *trees.get(&one.pid)?)));
        let mut members: Vec<_> = found.collect();
        self.known = members.iter().map(|(process, tree)| (process.identity(), *tree)).collect();
        self.foreign.retain(|identity| candidates.get(&identity.0).map(Process::identity) == Some(*identity));
        let is_ours = |one: &&Process| self.adopts && one.parent == self.own_pid && one.group != own_group();
        let is_new = |one: &&Process| !one.is_alive && !self.leaders.contains_key(&one.pid);
        let ended = candidates.values().filter(is_ours).filter(is_new);
        self.just_ended = ended.map(|process| trees.get(&process.pid).copied()).collect();
        members.retain(|(process, tree)| process.is_alive && *tree != INHERITED);
        members
    }

    /// Processes that may belong to a tree: the descendants of this process if it adopts orphans, else all
    /// younger processes. Without `/proc`, the groups of all leaders.
    fn candidates(&self) -> HashMap<Pid, Process> {
        if !self.has_procfs {
            return self.leaders.keys().filter_map(|pid| Some((*pid, self.read(*pid)?))).collect();
        }
        let own_thread_only = !self.has_leader_of_other_thread && is_main_thread();
        if self.adopts
            && let Some(descendants) = descendants(self.own_pid, own_thread_only)
        {
            return descendants;
        }
        let all = all_pids().into_iter().filter_map(Process::read);
        let younger = all.filter(|one| one.start_time >= self.own_start_time && one.pid != self.own_pid);
        younger.map(|process| (process.pid, process)).collect()
    }

    /// The tree that a process leads, or that it belonged to at the last scan.
    fn known_tree(&self, process: &Process) -> Option<TreeId> {
        match self.leaders.get(&process.pid) {
            Some(leader) if leader.start_time == process.start_time => Some(leader.tree),
            _ => self.known.get(&process.identity()).copied(),
        }
    }

    /// The tree of a process by its parent, its group or its session.
    fn inherited_tree(
        &self,
        process: &Process,
        trees: &HashMap<Pid, TreeId>,
        candidates: &HashMap<Pid, Process>,
    ) -> Option<TreeId> {
        // A head that is younger than the process is another process with the pid of the true head.
        let headed_by = |pid: Pid| {
            let head = candidates.get(&pid).filter(|head| head.start_time <= process.start_time)?;
            trees.get(&head.pid).copied()
        };
        let led = || {
            let leader = self.leaders.get(&process.group)?;
            let head = candidates.get(&process.group);
            head.is_none_or(|head| leader.start_time == head.start_time).then_some(leader.tree)
        };
        let by_parent = trees.get(&process.parent).copied();
        by_parent.or_else(led).or_else(|| headed_by(process.group)).or_else(|| headed_by(process.session))
    }

    /// The tree of a process by its variable. An adopted process without the variable belongs to the youngest
    /// tree that is older than it, except under PID 1, which adopts the orphans of other programs too.
    fn stray_tree(&mut self, process: &Process) -> Option<TreeId> {
        if self.foreign.contains(&process.identity()) {
            return None;
        }
        let Some(tag) = process.variable(TAG_VARIABLE) else {
            let is_adopted = self.adopts && self.own_pid != INIT && process.parent == self.own_pid;
            if !is_adopted || process.session != process.pid {
                return None;
            }
            let older = self.leaders.values().filter(|leader| leader.start_time <= process.start_time);
            return older.max_by_key(|leader| (leader.start_time, leader.tree)).map(|leader| leader.tree);
        };
        let number = tag.strip_prefix(self.supervisor.as_str()).and_then(|rest| rest.strip_prefix('-'));
        let tree = number.and_then(|number| number.parse().ok()).map(TreeId);
        if tree.is_none() {
            self.foreign.insert(process.identity());
        }
        tree
    }
}

#[cfg(test)]
mod tests;
