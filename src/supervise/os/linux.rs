//! Linux: which processes belong to which tree, and their end.
//!
//! A tree is everything that came of one start. Its processes may leave their group (`setpgid`), their session (`setsid`) and
//! their parent (a double fork); they are found by their parents, groups and sessions, by what was known of them before, and
//! by a variable in their environment.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::process::PidfdFlags;

use super::super::phase::ProcessExit;
use super::super::signal::Signal;
use super::group::Groups;
use super::procfs::{MARKER, Marked, Process, add_children, children, everybody, marked, process};
use super::unix::own_group;
use super::wait::{number, peek, reap};

/// As PID 1, devrun may be the parent of strangers. One that has ended in devrun's own group might be awaited by somebody in
/// this process; one that is still there after so long is not.
const UNCLAIMED: Duration = Duration::from_secs(2);
/// Without `/proc` one that is waited for hides those behind it: when to look again.
const UNSEEN_PAUSE: Duration = Duration::from_millis(50);

/// Orphans of this process's descendants become its children (`PR_SET_CHILD_SUBREAPER`).
pub(crate) fn adopt_orphans() -> io::Result<()> {
    // The argument is a flag in the disguise of a process id.
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// Waits until a child of ours has ended, and leaves it a zombie: its number stays taken, so that no late signal can meet a
/// stranger. [`Trees::forget`] reaps it.
pub(crate) async fn ended(pid: i32) -> io::Result<ProcessExit> {
    let pid = number(pid)?;
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
    /// Some leader was started by another thread than the main one.
    elsewhere: bool,
    /// When this process began: nobody who is older can belong to us.
    first: u64,
    known: HashMap<(i32, u64), u64>,
    /// Processes that carry the variable of another supervisor: their environment is read once.
    foreign: HashSet<(i32, u64)>,
    /// What there is to go by if `/proc` is not there, or that of another PID namespace: its numbers would be strangers'.
    blind: Option<Groups>,
    /// Ended children of our own group that nobody has reaped yet, and since when they are known.
    unclaimed: HashMap<(i32, u64), Instant>,
}

impl Trees {
    pub(crate) fn new(session: String, adopting: bool) -> Self {
        let me = std::process::id() as i32;
        let (leaders, known, unclaimed) = (HashMap::new(), HashMap::new(), HashMap::new());
        let foreign = HashSet::new();
        let blind = (!shows_us()).then(Groups::default);
        let first = process(me).map_or(u64::MAX, |one| one.began);
        Self { session, me, adopting, leaders, elsewhere: false, first, known, foreign, blind, unclaimed }
    }

    /// The name of the supervisor that all this belongs to.
    pub(crate) fn session(&self) -> &str {
        &self.session
    }

    /// The variable that processes of a tree carry.
    pub(crate) fn marker(&self, key: u64) -> (String, String) {
        (MARKER.to_owned(), format!("{}-{key}", self.session))
    }

    /// A tree has begun with this child of ours, which this thread has started.
    pub(crate) fn add(&mut self, key: u64, pid: i32) {
        self.elsewhere |= !is_main_thread();
        if let Some(groups) = &mut self.blind {
            return groups.add(key, pid);
        }
        // A child of ours that has ended is still there, as a zombie; a stranger's number must not be taken for it.
        if let Some(Process { began, .. }) = process(pid) {
            self.leaders.insert(pid, Leader { key, began });
        }
    }

    /// How the leader of a tree has ended is known.
    pub(crate) fn leader_ended(&mut self, key: u64) {
        if let Some(groups) = &mut self.blind {
            groups.leader_ended(key);
        }
    }

    /// A tree has ended: its leader is reaped, so that its number may be used again.
    pub(crate) fn forget(&mut self, key: u64) {
        self.known.retain(|_, known| *known != key);
        self.release(key);
    }

    /// The leader of a tree is reaped, but what it left behind still belongs to the tree.
    pub(crate) fn release(&mut self, key: u64) {
        if let Some(groups) = &mut self.blind {
            groups.forget(key);
        }
        self.leaders.retain(|pid, leader| {
            if leader.key == key {
                reap(*pid);
            }
            leader.key != key
        });
    }

    /// The leader of a tree, as long as its number is its own: the guard is not its parent, and may be late.
    fn leader(&self, key: u64) -> Option<i32> {
        let (pid, leader) = self.leaders.iter().find(|(_, leader)| leader.key == key)?;
        if self.adopting {
            // It is a child of ours that was not reaped: its number stays taken.
            return Some(*pid);
        }
        process(*pid).is_some_and(|now| now.began == leader.began).then_some(*pid)
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
        if let Some(groups) = &self.blind {
            return groups.send(key, signals);
        }
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
        if let Some(groups) = &self.blind {
            return groups.send(key, &[signal]);
        }
        if let Some(leader) = self.leader(key) {
            send(-leader, signal.number());
        }
    }

    /// Kills a tree. Everything is stopped first, until a look finds nobody new: a fork in flight would escape otherwise.
    pub(crate) fn kill(&mut self, key: u64) {
        if let Some(groups) = &self.blind {
            return groups.send(key, &[Signal::KILL]);
        }
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

    /// Reaps the orphans that came to us and have ended; never a leader, whose status is awaited elsewhere. Gives when to do
    /// it again even if nothing happens until then.
    pub(crate) fn reap_orphans(&mut self, now: Instant) -> Option<Instant> {
        if !self.adopting {
            return None;
        }
        if self.blind.is_some() {
            return self.reap_unseen(now);
        }
        // Most often it was a leader that has ended, and it was reaped since: one call says so.
        if some_ended_child().is_none() {
            self.unclaimed.clear();
            return None;
        }
        let group = own_group();
        let ours = children(self.me).unwrap_or_default().into_iter().filter_map(process);
        let ended: Vec<_> = ours.filter(|one| !one.alive && !self.leaders.contains_key(&one.pid)).collect();
        let before = std::mem::take(&mut self.unclaimed);
        for one in ended {
            let name = (one.pid, one.began);
            // What this process has forked itself, git for example, is in its own group, and awaited.
            if one.group != group || self.known.remove(&name).is_some() {
                reap(one.pid);
            } else if self.me == 1 {
                let since = before.get(&name).copied().unwrap_or(now);
                match now.saturating_duration_since(since) >= UNCLAIMED {
                    true => reap(one.pid),
                    false => drop(self.unclaimed.insert(name, since)),
                }
            }
        }
        self.unclaimed.values().min().map(|since| *since + UNCLAIMED)
    }

    /// The same without `/proc`: one after another, up to the first that somebody else may be waiting for.
    fn reap_unseen(&mut self, now: Instant) -> Option<Instant> {
        while let Some(pid) = some_ended_child() {
            // SAFETY: plain system call on a child that is there, as a zombie.
            let is_ours = unsafe { libc::getpgid(pid) } == own_group();
            let is_leader = self.blind.as_ref().is_some_and(|groups| groups.is_leader(pid));
            let since = *self.unclaimed.entry((pid, 0)).or_insert(now);
            let is_fresh = now.saturating_duration_since(since) < UNCLAIMED;
            if is_leader || (is_ours && is_fresh) {
                return Some(now + UNSEEN_PAUSE);
            }
            reap(pid);
            self.unclaimed.remove(&(pid, 0));
        }
        self.unclaimed.clear();
        None
    }

    /// Everybody who belongs to a tree of ours, with its key.
    fn census(&mut self) -> Vec<(Process, u64)> {
        if let Some(groups) = &self.blind {
            return groups.members().into_iter().map(|(pid, key)| (Process::unseen(pid), key)).collect();
        }
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
        self.foreign.retain(|(pid, began)| table.get(pid).is_some_and(|one| one.began == *began));
        census
    }

    /// Who may belong to us: our descendants if orphans come to us, else everybody who is younger than we are.
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
        let mut queue = self.own_children()?;
        while let Some(pid) = queue.pop() {
            if let Some(one) = process(pid)
                && table.insert(pid, one).is_none()
            {
                queue.extend(one.children()?);
            }
        }
        Some(table)
    }

    /// Our children and the orphans that came to us. The kernel keeps a list for each thread: of those who were forked there,
    /// and, for the main one while it lives, of the orphans. On the main thread that list is all that matters, if no other
    /// has started anything of ours.
    fn own_children(&self) -> Option<Vec<i32>> {
        if self.elsewhere || !is_main_thread() {
            return children(self.me);
        }
        let mut found = Vec::new();
        add_children(format!("/proc/self/task/{}", self.me), &mut found).ok()?;
        Some(found)
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
        // A group whose head is not the leader is a stranger's: the number is used again.
        let is_led = |leader: &&Leader| {
            table.get(&one.group).is_none_or(|head| leader.began == head.began || leader.began == 0)
        };
        of(one.parent)
            .or_else(|| self.leaders.get(&one.group).filter(is_led).map(|leader| leader.key))
            .or_else(|| group(one.group))
            .or_else(|| group(one.session))
    }

    /// By its variable; an adopted one that has got rid of them belongs to the youngest tree that is older than itself. To PID 1
    /// strangers come too.
    fn stray_key(&mut self, one: &Process) -> Option<u64> {
        if self.foreign.contains(&(one.pid, one.began)) {
            return None;
        }
        match marked(one.pid, &self.session) {
            Marked::Ours(key) => Some(key),
            Marked::Other => {
                self.foreign.insert((one.pid, one.began));
                None
            }
            Marked::No
                if self.adopting && self.me != 1 && one.parent == self.me && one.session == one.pid =>
            {
                let older = self.leaders.values().filter(|leader| leader.began <= one.began);
                older.max_by_key(|leader| (leader.began, leader.key)).map(|leader| leader.key)
            }
            Marked::No => None,
        }
    }
}

fn is_main_thread() -> bool {
    // SAFETY: plain system call.
    (unsafe { libc::gettid() }) == std::process::id() as i32
}

/// Whether `/proc` shows this process under its own number.
fn shows_us() -> bool {
    let own = std::fs::read_link("/proc/self").ok();
    own.and_then(|own| own.to_str()?.parse::<u32>().ok()) == Some(std::process::id())
}

/// A child of ours that has ended and was not reaped, whatever `/proc` shows.
fn some_ended_child() -> Option<i32> {
    // SAFETY: the memory is initialised, and `waitid` writes nothing else; with `WNOWAIT` nobody's status is taken.
    unsafe {
        let mut found: libc::siginfo_t = std::mem::zeroed();
        let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        let told = libc::waitid(libc::P_ALL, 0, &mut found, options) == 0;
        (told && found.si_pid() > 0).then(|| found.si_pid())
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

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;

    use super::*;

    #[test]
    fn a_stranger_with_the_number_of_a_leader_that_has_ended_is_no_member() {
        let mut trees = Trees::new("session".to_owned(), false);
        let mut other = std::process::Command::new("sleep").arg("60").process_group(0).spawn().unwrap();
        let pid = other.id() as i32;
        trees.add(1, pid);
        assert_eq!(trees.members(1).len(), 1);
        // What had this number before began at another time.
        trees.leaders.get_mut(&pid).unwrap().began -= 1;
        trees.known.clear();
        assert!(trees.members(1).is_empty());
        trees.kill(1);
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
