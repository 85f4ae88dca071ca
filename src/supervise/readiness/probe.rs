//! Finds out from the sockets of a process tree where its server listens, and whether it waits for connections
//! there. Knows no generation.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::free_port::ephemeral_ports;
use super::http::retry_delay;
use super::proc_net::{any_waits_on, in_session_of, listening_paths, listening_sockets};
use crate::supervise::command::Command;
use crate::supervise::sys::pid::Pid;

/// Delay before the first look for addresses, and between two looks.
const FIRST_SEARCH_DELAY: Duration = Duration::from_millis(300);
const SEARCH_DELAY: Duration = Duration::from_millis(100);
/// Delay between two looks if an earlier generation served on another address than its port.
const KNOWN_SEARCH_DELAY: Duration = Duration::from_millis(20);
/// Delay between two looks at a server that counts as ready already, and the age of the tree at which they end.
const LATE_DELAY: Duration = Duration::from_secs(1);
const MAX_DOUBTED_AGE: Duration = Duration::from_secs(60);
/// Time for which a server must listen on another address than the given port before devrun asks there, at
/// first and after an earlier generation used the given port.
const STEADY_TIME: Duration = Duration::from_millis(500);
const LONG_STEADY_TIME: Duration = Duration::from_secs(5);
/// The same time for a port that the kernel seems to have chosen: programs such as debugpy open one for a process
/// that they start, and take the first connection for that process.
const EPHEMERAL_STEADY_TIME: Duration = Duration::from_secs(10);
/// Time for which no process of the tree has the socket that accepts, before that socket counts as the server's. A
/// container's port belongs to another program. So does a port that another program took just before the
/// server binds it; such a server mostly ends within this time, because it cannot bind.
const STRANGER_TIME: Duration = Duration::from_secs(3);
/// Time after which a tree that is not seen waiting on its sockets counts as ready, as long as no earlier one
/// was ever seen waiting: it may wait in a way that cannot be seen.
const DOUBT_TIMEOUT: Duration = Duration::from_secs(5);
/// The process tree to probe.
#[derive(Debug)]
pub(crate) struct ProbeTarget<'a> {
    pub(crate) leader: Pid,
    pub(crate) pids: &'a [Pid],
    pub(crate) command: &'a Command,
    /// The addresses of the sockets that every generation inherits.
    pub(crate) shared: &'a [SocketAddr],
    /// The addresses that lead to the Unix sockets on which the tree listens.
    pub(crate) relayed: &'a [SocketAddr],
    /// Time since the start.
    pub(crate) age: Duration,
}

impl ProbeTarget<'_> {
    /// Whether the kernel seems to have chosen the port of an address.
    fn is_ephemeral(&self, address: SocketAddr) -> bool {
        ephemeral_ports().is_some_and(|range| range.contains(&address.port()))
            && !self.command.has_number(address.port())
    }
}

/// Repeated looks at the sockets of a generation that is not ready.
#[derive(Debug)]
pub(crate) struct SocketProbe {
    stage: Stage,
    /// The port that the server was given; `None` if it inherits sockets.
    port: Option<u16>,
    /// Another address than the port counts as well.
    may_be_elsewhere: bool,
    next: Instant,
    /// [`ProbeResult::Doubtful`] was returned. Later looks only teach the history.
    is_doubted: bool,
}

#[derive(Debug)]
enum Stage {
    /// The server has to wait on each of the sockets that it inherited, given by their inodes.
    Inherited { sockets: Vec<u64> },
    /// No address is known to accept. `seen` are the addresses with the time at which each was seen first.
    Searching { seen: Vec<(SocketAddr, Instant)> },
    /// The address accepts, but the server may not wait for connections yet.
    /// `was_own`: a process of the tree had the socket that accepts.
    Accepting { address: SocketAddr, since: Instant, was_own: bool },
    /// The server serves on another address than the given port. `known` are the addresses that were found with it.
    Elsewhere { known: Vec<SocketAddr> },
}

/// What follows from a look at a port that accepts: whether a process of the tree listens there, and whether one
/// waits. `None` if the server is not ready, else whether it was seen waiting. A server that dies closes its
/// socket, which must not count as the socket of another program; `was_own` remembers that.
fn judge_port(was_own: &mut bool, listens: bool, waits: bool, accepting_for: Duration) -> Option<bool> {
    *was_own |= listens;
    if listens { Some(waits) } else { (!*was_own && accepting_for >= STRANGER_TIME).then_some(true) }
}

impl SocketProbe {
    /// A probe for a generation that inherits sockets with these inodes.
    pub(crate) fn of_inherited(sockets: Vec<u64>, now: Instant) -> Self {
        let stage = Stage::Inherited { sockets };
        Self { stage, port: None, may_be_elsewhere: false, next: now, is_doubted: false }
    }

    /// A probe for a server that was given this port. `may_be_elsewhere`: another address counts as well.
    pub(crate) fn of_port(port: u16, may_be_elsewhere: bool, history: &ListenHistory, now: Instant) -> Self {
        let delay = if history.elsewhere.is_some() { KNOWN_SEARCH_DELAY } else { FIRST_SEARCH_DELAY };
        let stage = Stage::Searching { seen: Vec::new() };
        Self { stage, port: Some(port), may_be_elsewhere, next: now + delay, is_doubted: false }
    }

    pub(crate) fn port(&self) -> Option<u16> {
        self.port
    }

    /// The address that accepts, if this probe knows one.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match &self.stage {
            Stage::Accepting { address, .. } => Some(*address),
            _ => None,
        }
    }

    /// Whether it looks for another address than the port.
    pub(crate) fn searches_elsewhere(&self) -> bool {
        self.may_be_elsewhere && matches!(self.stage, Stage::Searching { .. })
    }

    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// Makes the next look due now, if only looks can tell that the server is ready.
    pub(crate) fn hasten(&mut self, now: Instant) {
        if matches!(self.stage, Stage::Inherited { .. } | Stage::Accepting { .. }) && !self.is_doubted {
            self.next = now;
        }
    }

    /// Records that an address accepts connections, or answers.
    pub(crate) fn accepted(&mut self, address: SocketAddr, now: Instant) {
        if Some(address.port()) == self.port {
            self.next = now;
            self.stage = Stage::Accepting { address, since: now, was_own: false };
        } else {
            self.next = now + LATE_DELAY;
            let known = match &self.stage {
                Stage::Searching { seen } => seen.iter().map(|(address, _)| *address).collect(),
                _ => vec![address],
            };
            self.stage = Stage::Elsewhere { known };
        }
    }

    /// Looks once. [`ProbeResult::Waiting`] is final. Go on after every other result until
    /// [`SocketProbe::is_stale`], because the history learns from it.
    pub(crate) fn probe(
        &mut self,
        target: &ProbeTarget<'_>,
        history: &mut ListenHistory,
        now: Instant,
    ) -> ProbeResult {
        self.next = now + if self.is_doubted { LATE_DELAY } else { retry_delay(target.age) };
        let on_port = || addresses(target.pids).into_iter().filter(|at| Some(at.port()) == self.port);
        let result = match &mut self.stage {
            Stage::Inherited { sockets } => {
                let is_waited_on = |index: &usize| any_waits_on(target.pids, sockets[*index]);
                let seen = (0..sockets.len()).filter(is_waited_on).collect();
                history.judge(seen, sockets.len(), target.age)
            }
            Stage::Accepting { address, since, was_own } => {
                let (listens, waits) = look_at_port(target.pids, address.port());
                let accepting_for = now.saturating_duration_since(*since);
                match judge_port(was_own, listens, waits, accepting_for) {
                    Some(is_waiting) => history.judge_accepting(is_waiting, accepting_for),
                    None => ProbeResult::Nothing,
                }
            }
            Stage::Searching { seen } => {
                self.next = now
                    + match history.elsewhere {
                        _ if target.age > MAX_DOUBTED_AGE => LATE_DELAY,
                        Some(_) => KNOWN_SEARCH_DELAY,
                        None => SEARCH_DELAY,
                    };
                let mut found = addresses(&in_session_of(target.leader, target.pids));
                let own: Vec<SocketAddr> = on_port().collect();
                if !own.is_empty() || !self.may_be_elsewhere {
                    return ProbeResult::ListensAt(own);
                }
                found.retain(|address| !target.shared.contains(address));
                if found.is_empty() {
                    found.extend(target.relayed);
                }
                seen.retain(|(address, _)| found.contains(address));
                found.retain(|address| !seen.iter().any(|(known, _)| known == address));
                seen.extend(found.into_iter().map(|address| (address, now)));
                let is_steady = |(address, since): &&(SocketAddr, Instant)| {
                    let is_ephemeral = target.is_ephemeral(*address);
                    now.saturating_duration_since(*since) >= history.steady_time(*address, is_ephemeral)
                };
                ProbeResult::ListensAt(seen.iter().filter(is_steady).map(|(address, _)| *address).collect())
            }
            Stage::Elsewhere { known } => {
                self.next = now + LATE_DELAY;
                let own: Vec<SocketAddr> = on_port().collect();
                let is_new = |address: &SocketAddr| {
                    !known.iter().chain(target.shared).any(|other| other.port() == address.port())
                        && !target.is_ephemeral(*address)
                };
                let other = addresses(&in_session_of(target.leader, target.pids)).into_iter().find(is_new);
                match other.filter(|_| own.is_empty() && !history.has_reported_other) {
                    Some(address) => {
                        history.has_reported_other = true;
                        ProbeResult::AlsoListensAt(address)
                    }
                    None => ProbeResult::ListensAt(own),
                }
            }
        };
        if result == ProbeResult::Doubtful && std::mem::replace(&mut self.is_doubted, true) {
            return ProbeResult::Nothing;
        }
        result
    }

    /// Whether further looks teach nothing: the tree has counted as ready for long.
    pub(crate) fn is_stale(&self, age: Duration) -> bool {
        (self.is_doubted || matches!(self.stage, Stage::Elsewhere { .. })) && age > MAX_DOUBTED_AGE
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
    /// The server counts as found on another address, but since then the tree listens here, too.
    AlsoListensAt(SocketAddr),
}

/// What earlier generations have shown about how the server listens.
#[derive(Debug, Default)]
pub(crate) struct ListenHistory {
    /// The address at which an earlier generation listened, if that was not the given port.
    elsewhere: Option<SocketAddr>,
    /// An earlier generation listened on the port that it was given.
    used_given_port: bool,
    /// [`ProbeResult::AlsoListensAt`] was returned.
    has_reported_other: bool,
    /// A server that listens by itself was never seen waiting for connections, and counted as ready.
    was_doubted: bool,
    /// Indexes of the sockets that the server was seen waiting on, out of those that it inherited, or of the one
    /// that it opened itself. The next generation will wait on them, too.
    waited_on: Option<Vec<usize>>,
}

impl ListenHistory {
    /// Records where a generation serves: on the port that it was given if `elsewhere` is `None`.
    pub(crate) fn serves(&mut self, elsewhere: Option<SocketAddr>) {
        self.elsewhere = elsewhere;
        self.used_given_port |= elsewhere.is_none();
    }

    /// Time for which a server must listen on another address than the given port before devrun asks there.
    fn steady_time(&self, address: SocketAddr, is_ephemeral: bool) -> Duration {
        match self.elsewhere {
            Some(known) if known == address => Duration::ZERO,
            None if is_ephemeral => EPHEMERAL_STEADY_TIME,
            _ if self.used_given_port => LONG_STEADY_TIME,
            _ => STEADY_TIME,
        }
    }

    /// Decides whether a server is ready whose port has accepted connections for this long.
    fn judge_accepting(&mut self, is_waiting: bool, accepting_for: Duration) -> ProbeResult {
        let time = if self.was_doubted { DOUBT_TIMEOUT } else { accepting_for };
        let result = self.judge(if is_waiting { vec![0] } else { Vec::new() }, 1, time);
        self.was_doubted |= result == ProbeResult::Doubtful;
        result
    }

    /// Decides whether a tree of this age is ready that waits on `seen`, given by their indexes, out of the
    /// `count` sockets that it inherited.
    fn judge(&mut self, seen: Vec<usize>, count: usize, age: Duration) -> ProbeResult {
        if let Some(known) = &self.waited_on {
            // A server that takes long to load is waited for, however long: the old generation serves on.
            let is_complete = known.iter().all(|index| seen.contains(index));
            return if is_complete { ProbeResult::Waiting } else { ProbeResult::Nothing };
        }
        if seen.len() < count && age < DOUBT_TIMEOUT {
            return ProbeResult::Nothing;
        }
        if seen.is_empty() {
            return ProbeResult::Doubtful;
        }
        self.waited_on = Some(seen);
        ProbeResult::Waiting
    }
}

/// An address that these processes listen on, other than their own port and the shared ones.
pub(crate) fn address_besides(pids: &[Pid], port: Option<u16>, shared: &[SocketAddr]) -> Option<SocketAddr> {
    let found = listening_sockets(pids);
    found
        .into_iter()
        .map(|(address, _)| address)
        .find(|address| Some(address.port()) != port && !shared.contains(address))
}

/// Whether these processes listen on a Unix socket.
pub(crate) fn listens_on_path(pids: &[Pid]) -> bool {
    !listening_paths(pids).is_empty()
}

/// Unix sockets on which the session of `leader` listens. A relative path counts from the leader's working directory;
/// `@` begins an abstract name.
pub(crate) fn listening_unix_sockets(leader: Pid, pids: &[Pid]) -> Vec<PathBuf> {
    let base = std::fs::read_link(format!("/proc/{leader}/cwd")).unwrap_or_default();
    let paths = listening_paths(&in_session_of(leader, pids)).into_iter();
    paths.map(|path| if path.starts_with('@') { path.into() } else { base.join(path) }).collect()
}

/// What these processes listen on, if none of it is this port.
pub(crate) fn listening_besides(pids: &[Pid], port: u16) -> Vec<String> {
    let found = addresses(pids);
    if found.iter().any(|address| address.port() == port) {
        return Vec::new();
    }
    let tcp = found.into_iter().map(|address| address.to_string());
    tcp.chain(listening_paths(pids).into_iter().map(|path| format!("the Unix socket {path}"))).collect()
}

/// Whether one of these processes listens on this port, and whether one waits for connections there.
fn look_at_port(pids: &[Pid], port: u16) -> (bool, bool) {
    let mut sockets = listening_sockets(pids);
    sockets.retain(|(address, _)| address.port() == port);
    (!sockets.is_empty(), sockets.iter().any(|(_, inode)| any_waits_on(pids, *inode)))
}

fn addresses(pids: &[Pid]) -> Vec<SocketAddr> {
    listening_sockets(pids).into_iter().map(|(address, _)| to_connectable(address)).collect()
}

/// The address to connect to: a server on all interfaces is reached by loopback.
pub(super) fn to_connectable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        // Most such servers accept IPv4 too, but not all.
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_address_is_asked_at_once_and_a_port_of_the_kernel_late() {
        let [metrics, app] = [9100, 5000].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let mut history = ListenHistory::default();
        assert_eq!(history.steady_time(app, false), STEADY_TIME);
        assert_eq!(history.steady_time(app, true), EPHEMERAL_STEADY_TIME);
        history.serves(None);
        assert_eq!(history.steady_time(app, false), LONG_STEADY_TIME);
        history.serves(Some(app));
        assert_eq!(history.steady_time(app, true), Duration::ZERO);
        assert_eq!(history.steady_time(metrics, false), LONG_STEADY_TIME);
    }

    #[test]
    fn a_socket_that_its_server_closes_is_not_another_programs() {
        let (early, late) = (Duration::from_millis(200), STRANGER_TIME);
        let mut was_own = false;
        let mut judge = |listens, waits, after| judge_port(&mut was_own, listens, waits, after);
        assert_eq!(judge(false, false, early), None, "another program may have taken the port");
        assert_eq!(judge(true, false, early), Some(false));
        assert_eq!(judge(false, false, late), None, "the server dies");
        assert_eq!(judge(true, true, late), Some(true));
        assert_eq!(judge_port(&mut false, false, false, late), Some(true), "a container");
    }

    #[test]
    fn a_server_on_all_interfaces_is_reached_by_loopback() {
        assert_eq!(to_connectable(([0; 4], 5000).into()), SocketAddr::from(([127, 0, 0, 1], 5000)));
        assert_eq!(to_connectable(([192, 0, 2, 2], 5000).into()), SocketAddr::from(([192, 0, 2, 2], 5000)));
    }
    #[test]
    fn what_was_seen_once_is_waited_for() {
        let mut history = ListenHistory::default();
        let (young, old) = (Duration::from_secs(1), Duration::from_secs(6));
        assert_eq!(history.judge(vec![], 1, young), ProbeResult::Nothing);
        assert_eq!(history.judge(vec![], 1, old), ProbeResult::Doubtful, "it may wait in an unseen way");
        assert_eq!(history.judge(vec![0], 1, old), ProbeResult::Waiting);
        assert_eq!(
            history.judge(vec![], 1, old),
            ProbeResult::Nothing,
            "it loads, and the old one serves on"
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
