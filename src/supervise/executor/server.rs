//! The server of a generation, and the checks whether it serves.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

use super::processes::{ProcessEvent, Processes, RunningProcess};
use crate::supervise::options::{Options, Port};
use crate::supervise::readiness::{
    Condition, ListenHistory, ProbeResult, ProbeTarget, SocketProbe, UnixRelays, listening_besides,
    listening_unix_sockets, loopback, wait_until_ready,
};
use crate::supervise::sockets::{Endpoint, InheritedListener};
use crate::supervise::state_machine::Input;
use crate::{GenerationId, Remedy, tls};

/// The process of a generation, and where it may listen.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) generation: GenerationId,
    pub(super) process: RunningProcess,
    /// A socket that only this generation inherits. It is closed with the generation, so that no client waits
    /// in its queue.
    pub(super) own_socket: Option<InheritedListener>,
    /// The port that the server has to listen on.
    pub(super) port: Option<u16>,
    /// `None` once it is ready, and nothing more can be learned for the next generation.
    pub(super) check: Option<ReadinessCheck>,
}

/// How a generation is checked: by tasks that connect, by the sockets of its tree, or by both.
#[derive(Debug, Default)]
pub(super) struct ReadinessCheck {
    connecting: JoinSet<()>,
    /// The addresses to which a task connects.
    addresses: Vec<SocketAddr>,
    probe: Option<SocketProbe>,
}

impl ReadinessCheck {
    /// Whether an address has another port than the one that the server was given.
    fn is_elsewhere(&self, address: SocketAddr) -> bool {
        self.probe.as_ref().and_then(SocketProbe::port).is_some_and(|port| port != address.port())
    }
}

impl Server {
    /// The address of the socket that only this generation inherits.
    pub(super) fn own_address(&self) -> Option<SocketAddr> {
        self.own_socket.as_ref().and_then(InheritedListener::tcp_address)
    }

    pub(super) fn next_probe(&self) -> Option<Instant> {
        self.probe().map(SocketProbe::next)
    }

    pub(super) fn hasten_probe(&mut self, now: Instant) {
        if let Some(ReadinessCheck { probe: Some(probe), .. }) = &mut self.check {
            probe.hasten(now);
        }
    }

    fn probe(&self) -> Option<&SocketProbe> {
        self.check.as_ref()?.probe.as_ref()
    }
}

/// Checks whether generations serve, and learns from one for the next.
#[derive(Debug)]
pub(super) struct Readiness {
    options: Arc<Options>,
    /// What earlier generations have shown about how the server listens.
    history: ListenHistory,
    /// The way to servers that listen on a Unix socket.
    relays: UnixRelays,
    events: UnboundedSender<ProcessEvent>,
}

impl Readiness {
    pub(super) fn new(options: Arc<Options>, events: UnboundedSender<ProcessEvent>) -> Self {
        Self { options, history: ListenHistory::default(), relays: UnixRelays::default(), events }
    }

    /// Begins to check a server that was just started. `shared` are the sockets that every generation inherits.
    /// Returns [`Input::Ready`] if the server has nothing to wait for.
    pub(super) fn start(
        &self,
        server: &mut Server,
        shared: &[Arc<InheritedListener>],
        now: Instant,
    ) -> Option<Input> {
        let probe_port = |port: u16| {
            let may_be_elsewhere =
                self.options.port == Port::Own && !self.options.command.has_port_placeholder();
            SocketProbe::of_port(port, may_be_elsewhere, &self.history, now)
        };
        let (probe, addresses) = match self.options.port {
            Port::Own => (server.port.map(probe_port), server.port.map(loopback)),
            Port::Fixed(address) => (Some(probe_port(address.port())), Some(vec![address])),
            Port::Inherited if self.options.ready.path.is_some() => {
                (None, server.own_address().map(|address| vec![address]))
            }
            Port::Inherited | Port::None => {
                let inherited = server.own_socket.iter().chain(shared.iter().map(Arc::as_ref));
                let inodes: Vec<u64> = inherited.filter_map(InheritedListener::inode).collect();
                ((!inodes.is_empty()).then(|| SocketProbe::of_inherited(inodes, now)), None)
            }
        };
        if probe.is_none() && addresses.is_none() {
            return Some(Input::Ready { generation: server.generation, address: None });
        }
        let check = server.check.insert(ReadinessCheck { probe, ..ReadinessCheck::default() });
        self.connect(server.generation, check, addresses.unwrap_or_default());
        None
    }

    /// Connects to the addresses to which no task connects yet. A found address is one task each, because one
    /// that does not answer must not delay the others.
    fn connect(&self, generation: GenerationId, check: &mut ReadinessCheck, mut addresses: Vec<SocketAddr>) {
        addresses.retain(|address| !check.addresses.contains(address));
        check.addresses.extend(&addresses);
        let (elsewhere, own): (Vec<_>, Vec<_>) =
            addresses.into_iter().partition(|address| check.is_elsewhere(*address));
        let groups = elsewhere.into_iter().map(|address| vec![address]).chain([own]);
        for group in groups.filter(|group| !group.is_empty()) {
            let condition = match &self.options.ready.path {
                Some(path) => Condition::Answers(path.clone()),
                None if check.is_elsewhere(group[0]) => Condition::ServesHttp,
                None => Condition::Accepts,
            };
            let events = self.events.clone();
            check.connecting.spawn(async move {
                // A supervisor that has ended needs no event.
                let send = |event| drop(events.send(event));
                let on_tls = |address| {
                    send(ProcessEvent::Warning { message: tls::sentence(address), remedy: Remedy::KeepTls });
                };
                let address = wait_until_ready(&group, &condition, on_tls).await;
                send(ProcessEvent::Ready { generation, address });
            });
        }
    }

    /// Records that an address of a server accepts connections, or answers. Returns what follows for the state
    /// machine.
    pub(super) fn accepted(
        &mut self,
        server: &mut Server,
        address: SocketAddr,
        now: Instant,
    ) -> Option<Input> {
        let (generation, check) = (server.generation, server.check.as_mut()?);
        let is_elsewhere = check.is_elsewhere(address);
        check.connecting = JoinSet::new();
        check.addresses.clear();
        if let Some(probe) = &mut check.probe {
            probe.accepted(address, now);
            self.history.serves(is_elsewhere.then_some(address));
            if is_elsewhere {
                let path = self.relays.path_of(address).map(Path::to_path_buf);
                let endpoint = path.map_or(Endpoint::Tcp(address), Endpoint::Unix);
                return Some(Input::ListensElsewhere { generation, address, endpoint });
            }
            // Without a path, the probe goes on until the server waits for connections.
            self.options.ready.path.as_ref()?;
        }
        server.check = None;
        Some(Input::Ready { generation, address: Some(address) })
    }

    /// Why a server is not ready in time, and what to do about it.
    pub(super) fn why_not_ready(&self, server: &Server, processes: &mut Processes) -> (String, Remedy) {
        let seconds = self.options.ready.timeout.as_secs_f32();
        let Some(probe) = server.probe() else {
            return (format!("not ready after {seconds} s"), Remedy::AllowMoreTime);
        };
        let Some(port) = probe.port() else {
            let message = format!("not accepting on the socket it was given after {seconds} s");
            return (message, Remedy::AllowMoreTime);
        };
        let found = listening_besides(&processes.members(server.process.tree), port);
        if found.is_empty() {
            return (format!("not ready after {seconds} s"), Remedy::AllowMoreTime);
        }
        let found = found.join(", ");
        let message = format!("not ready after {seconds} s: it listens on {found}, not on port {port}");
        (message, Remedy::ListenOnPort)
    }

    /// Looks at the sockets of a server if that is due. Returns [`Input::Ready`] once it serves.
    pub(super) fn poll(
        &mut self,
        server: &mut Server,
        shared: &[Arc<InheritedListener>],
        processes: &mut Processes,
        now: Instant,
    ) -> Option<Input> {
        let (generation, own_address) = (server.generation, server.own_address());
        let check = server.check.as_mut()?;
        let probe = check.probe.as_mut().filter(|probe| probe.next() <= now)?;
        let shared: Vec<SocketAddr> = shared.iter().filter_map(|socket| socket.tcp_address()).collect();
        let (pids, age) = (processes.members(server.process.tree), server.process.age(now));
        let leader = server.process.pid;
        let unix =
            if probe.searches_elsewhere() { listening_unix_sockets(leader, &pids) } else { Vec::new() };
        let relayed: Vec<_> = unix.into_iter().filter_map(|path| self.relays.address_of(path).ok()).collect();
        let target = ProbeTarget {
            leader,
            pids: &pids,
            command: &self.options.command,
            shared: &shared,
            relayed: &relayed,
            age,
        };
        let result = probe.probe(&target, &mut self.history, now);
        let ready = Some(Input::Ready { generation, address: probe.address().or(own_address) });
        if probe.is_stale(age) {
            check.probe = None;
        }
        match result {
            ProbeResult::Nothing => None,
            // Goes on, because what the probe sees later helps with the next generation.
            ProbeResult::Doubtful => ready,
            ProbeResult::Waiting => {
                server.check = None;
                ready
            }
            ProbeResult::AlsoListensAt(address) => {
                let message = format!("COMMAND listens on {address}, too, where no request is sent");
                // A supervisor that has ended needs no event.
                drop(self.events.send(ProcessEvent::Warning { message, remedy: Remedy::ListenOnPort }));
                None
            }
            ProbeResult::ListensAt(addresses) => {
                self.connect(generation, check, addresses);
                None
            }
        }
    }
}
