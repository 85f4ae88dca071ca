//! Finds out from the sockets of a process tree whether its server is ready. Knows no generation.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use super::http::retry_delay;
#[cfg(target_os = "linux")]
use super::proc_net::{any_waits_on, listening_addresses};

/// Time after which a tree that is not seen waiting on its sockets counts as ready, as long as no earlier one
/// was ever seen waiting: it may wait in a way that cannot be seen.
const DOUBT_TIMEOUT: Duration = Duration::from_secs(5);
/// Delay between two probes after that, and the age of the tree at which they end.
const DOUBTED_PROBE_DELAY: Duration = Duration::from_secs(1);
const MAX_DOUBTED_AGE: Duration = Duration::from_secs(60);
/// Delay before the first probe for another address than the given port, and between two probes.
const FIRST_ELSEWHERE_DELAY: Duration = Duration::from_millis(300);
const ELSEWHERE_DELAY: Duration = Duration::from_millis(100);
/// Time for which a server must listen elsewhere, because the first port that it opens may be a debugger's.
const ELSEWHERE_STEADY_TIME: Duration = Duration::from_millis(500);
/// Ports of debuggers: node's inspector, debugpy.
const DEBUGGER_PORTS: [u16; 2] = [9229, 5678];
/// What servers print when a port is taken: Python, node, Go, Rust and C; node's code; Django; gunicorn. In
/// lower case.
const PORT_TAKEN_MESSAGES: [&str; 4] =
    ["already in use", "eaddrinuse", "address in use", "connection in use"];

/// What earlier generations have shown about how the server listens.
#[derive(Debug, Default)]
pub(crate) struct ListenHistory {
    elsewhere: Option<SocketAddr>,
    /// Indexes of the inherited sockets that the server was seen waiting on. The next generation will wait on
    /// them, too.
    waited_on: Option<Vec<usize>>,
}

impl ListenHistory {
    /// The address at which an earlier generation listened, if that was not the given port.
    pub(crate) fn elsewhere(&self) -> Option<SocketAddr> {
        self.elsewhere
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
    pids: &'a [i32],
    shared_addresses: &'a [SocketAddr],
    age: Duration,
}

impl<'a> ProbeTarget<'a> {
    /// `shared_addresses` belong to the sockets that every generation inherits; `age` is the time since the
    /// start.
    pub(crate) fn new(pids: &'a [i32], shared_addresses: &'a [SocketAddr], age: Duration) -> Self {
        Self { pids, shared_addresses, age }
    }
}

/// What a probe has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProbeResult {
    /// The server is not ready.
    Nothing,
    /// The server waits on the sockets that it has inherited.
    Waiting,
    /// The server is not seen waiting, but nothing suggests that it ever will be.
    Doubtful,
    /// The server listens here, not on the port that it was given.
    Elsewhere(SocketAddr),
}

/// A repeated look at the process tree of a generation that is not ready.
#[derive(Debug)]
pub(crate) enum SocketProbe {
    /// A process that waits on each of the inherited sockets, given by their inodes.
    Waiting { sockets: Vec<u64>, next: Instant, is_doubted: bool },
    /// A process that listens, but not on the given port.
    Elsewhere { port: u16, next: Instant, seen: Option<(SocketAddr, Instant)> },
}

impl SocketProbe {
    /// A probe for a generation that inherits sockets with these inodes.
    pub(crate) fn waiting(sockets: Vec<u64>, now: Instant) -> Self {
        Self::Waiting { sockets, next: now, is_doubted: false }
    }

    /// A probe for a generation that was given this port.
    pub(crate) fn elsewhere(port: u16, now: Instant) -> Self {
        Self::Elsewhere { port, next: now + FIRST_ELSEWHERE_DELAY, seen: None }
    }

    /// When to probe next.
    pub(crate) fn next(&self) -> Instant {
        match self {
            Self::Waiting { next, .. } | Self::Elsewhere { next, .. } => *next,
        }
    }

    /// Makes the next probe due now, if only probes can tell that the server is ready.
    pub(crate) fn hasten(&mut self, now: Instant) {
        if let Self::Waiting { next, .. } = self {
            *next = now;
        }
    }

    /// Probes once. Go on after [`ProbeResult::Nothing`], and after [`ProbeResult::Doubtful`] until
    /// [`SocketProbe::is_stale`], because the history learns from it. Every other result is final.
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
            Self::Elsewhere { port, next, seen } => {
                *next = now + ELSEWHERE_DELAY;
                let found = listening_addresses(target.pids);
                let Some(address) = steady_address(found, *port, target.shared_addresses, seen, now) else {
                    return ProbeResult::Nothing;
                };
                history.elsewhere = Some(address);
                ProbeResult::Elsewhere(address)
            }
        }
    }

    /// Whether further probes teach nothing: the tree has counted as ready for long.
    pub(crate) fn is_stale(&self, age: Duration) -> bool {
        matches!(self, Self::Waiting { is_doubted: true, .. }) && age > MAX_DOUBTED_AGE
    }
}

/// Whether the output of a server says that its port is taken.
pub(crate) fn says_port_is_taken(output: &[u8]) -> bool {
    let text = String::from_utf8_lossy(output).to_lowercase();
    PORT_TAKEN_MESSAGES.iter().any(|message| text.contains(message))
}

/// An address that these processes listen on, other than their own port and the shared ones.
pub(crate) fn address_besides(pids: &[i32], port: Option<u16>, shared: &[SocketAddr]) -> Option<SocketAddr> {
    let found = listening_addresses(pids);
    found.into_iter().find(|address| Some(address.port()) != port && !shared.contains(address))
}

/// The address out of `found`, other than its own port, at which a server has listened for a while.
fn steady_address(
    mut found: Vec<SocketAddr>,
    port: u16,
    shared: &[SocketAddr],
    seen: &mut Option<(SocketAddr, Instant)>,
    now: Instant,
) -> Option<SocketAddr> {
    if found.iter().any(|address| address.port() == port) {
        // It listens on the given port. Whether it answers there already is another question.
        *seen = None;
        return None;
    }
    found.retain(|address| !shared.contains(address) && !DEBUGGER_PORTS.contains(&address.port()));
    let address = *found.first()?;
    match seen {
        Some((known, since)) if *known == address => {
            let is_steady = now.saturating_duration_since(*since) >= ELSEWHERE_STEADY_TIME;
            is_steady.then(|| to_connectable(address))
        }
        _ => {
            *seen = Some((address, now));
            None
        }
    }
}

/// The address to connect to: a server on all interfaces is reached by loopback.
fn to_connectable(mut address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        // Most such servers accept IPv4 too, but not all.
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// This system does not tell, so that the probe ends by [`DOUBT_TIMEOUT`].
#[cfg(not(target_os = "linux"))]
fn any_waits_on(_pids: &[i32], _inode: u64) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
fn listening_addresses(_pids: &[i32]) -> Vec<SocketAddr> {
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
    fn a_server_that_stays_elsewhere_is_found_there() {
        let (now, mut seen) = (Instant::now(), None);
        let [own, debugger, held, all] =
            [4000, 9229, 5001, 5000].map(|port| SocketAddr::from(([0; 4], port)));
        let mut look = |found: &[SocketAddr], after: u64| {
            steady_address(found.to_vec(), 4000, &[held], &mut seen, now + Duration::from_millis(after))
        };
        assert_eq!(look(&[debugger, held], 0), None);
        assert_eq!(look(&[debugger, all], 100), None);
        assert_eq!(look(&[own, all], 700), None, "it is where it should be after all");
        assert_eq!(look(&[all], 800), None);
        assert_eq!(look(&[all], 1300), Some(SocketAddr::from(([127, 0, 0, 1], 5000))));
    }
}
