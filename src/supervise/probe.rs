//! Whether a generation serves, read off the sockets of its process tree. Decides what a look means; knows no generation.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use super::os::listening::{addresses, waits_on};
use super::ready;

/// The first pause between two looks at a tree; it doubles up to [`LAST_LOOK`].
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(50);
/// How long a process that is not seen waiting on its inherited sockets is doubted, as long as none ever was: it may wait in
/// a way that cannot be seen.
const DOUBT: Duration = Duration::from_secs(5);
/// How often, and how long, it is looked at after that.
const DOUBTED_PAUSE: Duration = Duration::from_secs(1);
const DOUBTED_AT_MOST: Duration = Duration::from_secs(60);
/// When to begin to look whether a server listens elsewhere, how often, and how long it must have done so: what opens first
/// may be a debugger's port.
const ELSEWHERE_FIRST: Duration = Duration::from_millis(300);
const ELSEWHERE_PAUSE: Duration = Duration::from_millis(100);
const ELSEWHERE_STEADY: Duration = Duration::from_millis(500);
/// Ports of debuggers: node's inspector, debugpy.
const DEBUGGERS: [u16; 2] = [9229, 5678];

/// When to look next; the pauses grow.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) at: Instant,
    pause: Duration,
}

impl Look {
    pub(super) fn now(now: Instant) -> Self {
        Self { at: now, pause: FIRST_LOOK }
    }

    pub(super) fn later(&mut self, now: Instant) {
        self.at = now + self.pause;
        self.pause = (self.pause * 2).min(LAST_LOOK);
    }
}

/// What earlier generations have shown of how the server listens.
#[derive(Debug, Default)]
pub(super) struct Habits {
    /// Where it was found to listen, whatever it was told.
    pub(super) elsewhere: Option<SocketAddr>,
    /// The inherited sockets, by their place, that it was seen waiting on: the next generation will be, too.
    waited_on: Option<Vec<usize>>,
}

/// The tree that is looked at.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    pub(super) pids: &'a [i32],
    /// Where the sockets listen that are handed to every generation.
    pub(super) held: &'a [SocketAddr],
    /// How long it has run.
    pub(super) age: Duration,
}

/// What a look has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing yet.
    Nothing,
    /// It waits on the sockets that it has inherited.
    Waiting,
    /// It is not seen waiting, but there is no reason to believe that it ever will be.
    Doubtful,
    /// It listens here by itself.
    Elsewhere(SocketAddr),
}

/// What is looked for in the tree of a generation that is not ready.
#[derive(Debug)]
pub(super) enum Probe {
    /// One of its processes waits on each of these sockets, as far as they are used.
    Waits { sockets: Vec<u64>, at: Instant, doubted: bool },
    /// It listens, but not on its own port.
    Elsewhere { port: u16, at: Instant, seen: Option<(SocketAddr, Instant)> },
}

impl Probe {
    /// For a generation that inherits these sockets, by their inodes.
    pub(super) fn waits(sockets: Vec<u64>, now: Instant) -> Self {
        Self::Waits { sockets, at: now, doubted: false }
    }

    /// For a generation that was told this port.
    pub(super) fn elsewhere(port: u16, now: Instant) -> Self {
        Self::Elsewhere { port, at: now + ELSEWHERE_FIRST, seen: None }
    }

    /// When to look next.
    pub(super) fn at(&self) -> Instant {
        match self {
            Self::Waits { at, .. } | Self::Elsewhere { at, .. } => *at,
        }
    }

    /// What is looked for by looks alone is looked for at once.
    pub(super) fn hurry(&mut self, now: Instant) {
        if let Self::Waits { at, .. } = self {
            *at = now;
        }
    }

    /// Looks once. After [`Found::Doubtful`] it is worth to go on for a while, for what it teaches; all else but
    /// [`Found::Nothing`] is the end.
    pub(super) fn look(&mut self, tree: &Tree<'_>, habits: &mut Habits, now: Instant) -> Found {
        match self {
            Self::Waits { sockets, at, doubted } => {
                let waits = |which: &usize| waits_on(tree.pids, sockets[*which]);
                let seen: Vec<usize> = (0..sockets.len()).filter(waits).collect();
                *at = now + if *doubted { DOUBTED_PAUSE } else { ready::pause(tree.age) };
                let found = habits.judge(seen, sockets.len(), tree.age);
                match found {
                    Found::Doubtful if *doubted => Found::Nothing,
                    Found::Doubtful => {
                        *doubted = true;
                        found
                    }
                    _ => found,
                }
            }
            Self::Elsewhere { port, at, seen } => {
                *at = now + ELSEWHERE_PAUSE;
                let Some(address) = steady(addresses(tree.pids), *port, tree.held, seen, now) else {
                    return Found::Nothing;
                };
                habits.elsewhere = Some(address);
                Found::Elsewhere(address)
            }
        }
    }

    /// Whether there is no more to learn: it was taken to be ready long ago.
    pub(super) fn is_stale(&self, age: Duration) -> bool {
        matches!(self, Self::Waits { doubted: true, .. }) && age > DOUBTED_AT_MOST
    }
}

impl Habits {
    /// What it means that these of so many sockets are waited on by a tree of this age.
    fn judge(&mut self, seen: Vec<usize>, sockets: usize, age: Duration) -> Found {
        if let Some(known) = &self.waited_on {
            // A server that takes long to load is waited for, however long: the old generation serves on.
            return if known.iter().all(|at| seen.contains(at)) { Found::Waiting } else { Found::Nothing };
        }
        if seen.len() < sockets && (age < DOUBT || seen.is_empty()) {
            return if age < DOUBT { Found::Nothing } else { Found::Doubtful };
        }
        self.waited_on = Some(seen);
        Found::Waiting
    }
}

/// What servers say when they cannot have a port: Python, node, Go, Rust and C; Django; gunicorn.
const IN_USE: [&str; 4] = ["already in use", "eaddrinuse", "address in use", "connection in use"];

/// Whether the last words of a server are that it cannot have a port.
pub(super) fn lacks_port(output: &[u8]) -> bool {
    let text = String::from_utf8_lossy(output).to_lowercase();
    IN_USE.iter().any(|words| text.contains(words))
}

/// Where a tree listens besides its own port and the held ones.
pub(super) fn besides(pids: &[i32], port: Option<u16>, held: &[SocketAddr]) -> Option<SocketAddr> {
    let found = addresses(pids);
    found.into_iter().find(|address| Some(address.port()) != port && !held.contains(address))
}

/// The address that a tree listens on besides its own port, once it has done so for a while.
fn steady(
    mut found: Vec<SocketAddr>,
    port: u16,
    held: &[SocketAddr],
    seen: &mut Option<(SocketAddr, Instant)>,
    now: Instant,
) -> Option<SocketAddr> {
    if found.iter().any(|address| address.port() == port) {
        // Where it should be: whether it serves already is another question.
        *seen = None;
        return None;
    }
    found.retain(|address| !held.contains(address) && !DEBUGGERS.contains(&address.port()));
    let address = *found.first()?;
    match seen {
        Some((known, since)) if *known == address => {
            (now.saturating_duration_since(*since) >= ELSEWHERE_STEADY).then(|| reachable(address))
        }
        _ => {
            *seen = Some((address, now));
            None
        }
    }
}

/// An address to connect to: a server on all interfaces is reached by loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        // Most often it takes IPv4 too, but not always.
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// Not to be known here: the doubt ends by its time.
#[cfg(not(target_os = "linux"))]
fn waits_on(_pids: &[i32], _inode: u64) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
fn addresses(_pids: &[i32]) -> Vec<SocketAddr> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_once_is_waited_for() {
        let mut habits = Habits::default();
        let (young, old) = (Duration::from_secs(1), Duration::from_secs(6));
        assert_eq!(habits.judge(vec![], 1, young), Found::Nothing);
        assert_eq!(habits.judge(vec![], 1, old), Found::Doubtful, "it may wait in a way that cannot be seen");
        assert_eq!(habits.judge(vec![0], 1, old), Found::Waiting);
        assert_eq!(habits.judge(vec![], 1, old), Found::Nothing, "it takes long, and the old one serves on");
    }

    #[test]
    fn a_socket_that_is_not_used_is_not_waited_for_twice() {
        let mut habits = Habits::default();
        let (young, old) = (Duration::from_secs(1), Duration::from_secs(6));
        assert_eq!(habits.judge(vec![1], 2, young), Found::Nothing);
        assert_eq!(habits.judge(vec![1], 2, old), Found::Waiting);
        assert_eq!(habits.judge(vec![1], 2, young), Found::Waiting);
        assert_eq!(habits.judge(vec![0], 2, young), Found::Nothing);
    }

    #[test]
    fn a_server_that_stays_elsewhere_is_found_there() {
        let (now, mut seen) = (Instant::now(), None);
        let [own, debugger, held, all] =
            [4000, 9229, 5001, 5000].map(|port| SocketAddr::from(([0; 4], port)));
        let mut look = |found: &[SocketAddr], after: u64| {
            steady(found.to_vec(), 4000, &[held], &mut seen, now + Duration::from_millis(after))
        };
        assert_eq!(look(&[debugger, held], 0), None);
        assert_eq!(look(&[debugger, all], 100), None);
        assert_eq!(look(&[own, all], 700), None, "it is where it should be after all");
        assert_eq!(look(&[all], 800), None);
        assert_eq!(look(&[all], 1300), Some(SocketAddr::from(([127, 0, 0, 1], 5000))));
    }
}
