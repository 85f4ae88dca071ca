//! Finds out from the sockets of a process tree whether its server is ready. Knows no generation.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::http::retry_delay;
use super::listen_probe::ListenProbe;
#[cfg(target_os = "linux")]
use super::proc_net::{any_waits_on, listening_sockets};

/// Time after which a tree that is not seen waiting on its sockets counts as ready, as long as no earlier one
/// was ever seen waiting: it may wait in a way that cannot be seen.
const DOUBT_TIMEOUT: Duration = Duration::from_secs(5);
/// Delay between two probes after that, and the age of the tree at which they end.
const DOUBTED_PROBE_DELAY: Duration = Duration::from_secs(1);
pub(super) const MAX_DOUBTED_AGE: Duration = Duration::from_secs(60);
/// What servers print when a port is taken: Python, node, Go, Rust and C; node's code; Django; gunicorn. In
/// lower case.
const PORT_TAKEN_MESSAGES: [&str; 4] =
    ["already in use", "eaddrinuse", "address in use", "connection in use"];

/// What earlier generations have shown about how the server listens.
#[derive(Debug, Default)]
pub(crate) struct ListenHistory {
    elsewhere: Option<SocketAddr>,
    used_given_port: bool,
    /// A server that listens by itself was seen waiting for connections, or never was and counted as ready.
    was_seen_accepting: bool,
    was_doubted: bool,
    /// Indexes of the inherited sockets that the server was seen waiting on. The next generation will wait on
    /// them, too.
    waited_on: Option<Vec<usize>>,
}

impl ListenHistory {
    /// The address at which an earlier generation listened, if that was not the given port.
    pub(crate) fn elsewhere(&self) -> Option<SocketAddr> {
        self.elsewhere
    }

    /// Whether an earlier generation listened on the port that it was given.
    pub(super) fn used_given_port(&self) -> bool {
        self.used_given_port
    }

    /// Records where a generation serves: on the port that it was given if `elsewhere` is `None`.
    pub(crate) fn serves(&mut self, elsewhere: Option<SocketAddr>) {
        self.elsewhere = elsewhere;
        self.used_given_port |= elsewhere.is_none();
    }

    /// Decides whether a server is ready whose port has accepted connections for this long.
    pub(super) fn judge_accepting(&mut self, is_waiting: bool, accepting_for: Duration) -> ProbeResult {
        if is_waiting {
            self.was_seen_accepting = true;
            return ProbeResult::Waiting;
        }
        if self.was_seen_accepting || !self.was_doubted && accepting_for < DOUBT_TIMEOUT {
            return ProbeResult::Nothing;
        }
        self.was_doubted = true;
        ProbeResult::Doubtful
    }

    /// Decides whether a tree of this age is ready, given the indexes of the sockets, out of `count`, that it
    /// waits on.
    fn judge(&mut self, seen: Vec<usize>, count: usize, age: Duration) -> ProbeResult {
        if let Some(known) = &self.waited_on {
            // A server that takes long to load is waited for, however long: the old generation serves on.
            let is_complete = known.iter().all(|index| seen.contains(index));
            return if is_complete { ProbeResult::Waiting } else { ProbeResult::Nothing };
        }
        if seen.len() < count && age < DOUBT_TIMEOUT {
            return ProbeResult::Nothing;
        }
        if seen.len() < count && seen.is_empty() {
            return ProbeResult::Doubtful;
        }
        self.waited_on = Some(seen);
        ProbeResult::Waiting
    }
}

/// The process tree to probe.
#[derive(Debug)]
pub(crate) struct ProbeTarget<'a> {
    leader: i32,
    pids: &'a [i32],
    shared_addresses: &'a [SocketAddr],
    age: Duration,
}

impl<'a> ProbeTarget<'a> {
    /// `shared_addresses` belong to the sockets that every generation inherits; `age` is the time since the
    /// start.
    pub(crate) fn new(
        leader: i32,
        pids: &'a [i32],
        shared_addresses: &'a [SocketAddr],
        age: Duration,
    ) -> Self {
        Self { leader, pids, shared_addresses, age }
    }

    pub(super) fn leader(&self) -> i32 {
        self.leader
    }

    pub(super) fn pids(&self) -> &[i32] {
        self.pids
    }

    pub(super) fn age(&self) -> Duration {
        self.age
    }

    pub(super) fn is_shared(&self, address: &SocketAddr) -> bool {
        self.shared_addresses.contains(address)
    }
}

/// What a probe has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProbeResult {
    /// The server is not ready.
    Nothing,
    /// The server waits for connections.
    Waiting,
    /// The server is not seen waiting, but nothing suggests that it ever will be.
    Doubtful,
    /// The tree listens on these addresses. Whether its server answers there is another question.
    ListensAt(Vec<SocketAddr>),
}

/// A repeated look at the process tree of a generation that is not ready.
#[derive(Debug)]
pub(crate) enum SocketProbe {
    /// A process that waits on each of the inherited sockets, given by their inodes.
    Waiting { sockets: Vec<u64>, next: Instant, is_doubted: bool },
    /// A process that listens on a port.
    Listening(ListenProbe),
}

impl SocketProbe {
    /// A probe for a generation that inherits sockets with these inodes.
    pub(crate) fn waiting(sockets: Vec<u64>, now: Instant) -> Self {
        Self::Waiting { sockets, next: now, is_doubted: false }
    }

    /// When to probe next.
    pub(crate) fn next(&self) -> Instant {
        match self {
            Self::Waiting { next, .. } => *next,
            Self::Listening(probe) => probe.next(),
        }
    }

    /// The address that accepts, if this probe knows one.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Waiting { .. } => None,
            Self::Listening(probe) => probe.address(),
        }
    }

    /// Makes the next probe due now, if only probes can tell that the server is ready.
    pub(crate) fn hasten(&mut self, now: Instant) {
        match self {
            Self::Waiting { next, .. } => *next = now,
            Self::Listening(probe) => probe.hasten(now),
        }
    }

    /// Probes once. [`ProbeResult::Waiting`] is final. Go on after every other result until
    /// [`SocketProbe::is_stale`], because the history learns from it.
    pub(crate) fn probe(
        &mut self,
        target: &ProbeTarget<'_>,
        history: &mut ListenHistory,
        now: Instant,
    ) -> ProbeResult {
        match self {
            Self::Waiting { sockets, next, is_doubted } => {
                let is_waited_on = |index: &usize| any_waits_on(target.pids, sockets[*index]);
                let seen: Vec<usize> = (0..sockets.len()).filter(is_waited_on).collect();
                *next = now + if *is_doubted { DOUBTED_PROBE_DELAY } else { retry_delay(target.age) };
                let result = history.judge(seen, sockets.len(), target.age);
                if result == ProbeResult::Doubtful && std::mem::replace(is_doubted, true) {
                    return ProbeResult::Nothing;
                }
                result
            }
            Self::Listening(probe) => probe.probe(target, history, now),
        }
    }

    /// Whether further probes teach nothing: the tree has counted as ready for long.
    pub(crate) fn is_stale(&self, age: Duration) -> bool {
        match self {
            Self::Waiting { is_doubted, .. } => *is_doubted && age > MAX_DOUBTED_AGE,
            Self::Listening(probe) => probe.is_stale(age),
        }
    }
}

/// Whether the output of a server says that its port is taken.
pub(crate) fn says_port_is_taken(output: &[u8]) -> bool {
    let text = String::from_utf8_lossy(output).to_lowercase();
    PORT_TAKEN_MESSAGES.iter().any(|message| text.contains(message))
}

/// An address that these processes listen on, other than their own port and the shared ones.
pub(crate) fn address_besides(pids: &[i32], port: Option<u16>, shared: &[SocketAddr]) -> Option<SocketAddr> {
    let found = listening_sockets(pids);
    found
        .into_iter()
        .map(|(address, _)| address)
        .find(|address| Some(address.port()) != port && !shared.contains(address))
}

/// This system does not tell, so that the probe ends by [`DOUBT_TIMEOUT`].
#[cfg(not(target_os = "linux"))]
fn any_waits_on(_pids: &[i32], _inode: u64) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
fn listening_sockets(_pids: &[i32]) -> Vec<(SocketAddr, u64)> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_once_is_waited_for() {
        let mut history = ListenHistory::default();
        let (young, old) = (Duration::from_secs(1), Duration::from_secs(6));
        assert_eq!(history.judge(vec![], 1, young), ProbeResult::Nothing);
        assert_eq!(
            history.judge(vec![], 1, old),
            ProbeResult::Doubtful,
            "it may wait in a way that cannot be seen"
        );
        assert_eq!(history.judge(vec![0], 1, old), ProbeResult::Waiting);
        assert_eq!(
            history.judge(vec![], 1, old),
            ProbeResult::Nothing,
            "it takes long, and the old one serves on"
        );
    }

    #[test]
    fn a_socket_that_is_not_used_is_not_waited_for_twice() {
        let mut history = ListenHistory::default();
        let (young, old) = (Duration::from_secs(1), Duration::from_secs(6));
        assert_eq!(history.judge(vec![1], 2, young), ProbeResult::Nothing);
        assert_eq!(history.judge(vec![1], 2, old), ProbeResult::Waiting);
        assert_eq!(history.judge(vec![1], 2, young), ProbeResult::Waiting);
        assert_eq!(history.judge(vec![0], 2, young), ProbeResult::Nothing);
    }

    #[test]
    fn a_server_that_was_seen_waiting_is_seen_again() {
        let mut history = ListenHistory::default();
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(6));
        assert_eq!(history.judge_accepting(false, short), ProbeResult::Nothing);
        assert_eq!(history.judge_accepting(false, long), ProbeResult::Doubtful);
        assert_eq!(history.judge_accepting(false, short), ProbeResult::Doubtful, "none was ever seen");
        assert_eq!(history.judge_accepting(true, short), ProbeResult::Waiting);
        assert_eq!(history.judge_accepting(false, long), ProbeResult::Nothing, "it loads for long");
    }
}
