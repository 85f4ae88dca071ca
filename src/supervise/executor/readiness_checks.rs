//! Waits until generations serve.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

use super::executor::Server;
use super::processes::{ProcessEvent, Processes};
use crate::GenerationId;
use crate::supervise::options::{Options, Port};
use crate::supervise::readiness::{
    Condition, ListenHistory, ProbeResult, ProbeTarget, SocketProbe, listening_besides, loopback,
    wait_until_ready,
};
use crate::supervise::sockets::InheritedListener;
use crate::supervise::state_machine::{Input, ReadyCondition};

/// The checks of all generations that are not ready yet.
#[derive(Debug)]
pub(super) struct ReadinessChecks {
    options: Arc<Options>,
    /// What earlier generations have shown of how the server listens.
    history: ListenHistory,
    checks: BTreeMap<GenerationId, Check>,
    events: UnboundedSender<ProcessEvent>,
}

/// How one generation is checked: by tasks that connect, by the sockets of its tree, or by both.
#[derive(Debug, Default)]
struct Check {
    connecting: JoinSet<()>,
    /// The addresses to which a task connects.
    addresses: Vec<SocketAddr>,
    probe: Option<SocketProbe>,
}

impl ReadinessChecks {
    pub(super) fn new(options: Arc<Options>, events: UnboundedSender<ProcessEvent>) -> Self {
        Self { options, history: ListenHistory::default(), checks: BTreeMap::new(), events }
    }

    /// Begins to check a generation that was just started. `shared` are the sockets that every generation inherits.
    /// Returns [`Input::Ready`] if the generation has nothing to wait for.
    pub(super) fn start(
        &mut self,
        generation: GenerationId,
        server: &Server,
        shared: &[Arc<InheritedListener>],
        now: Instant,
    ) -> Option<Input> {
        let options = Arc::clone(&self.options);
        let probe_port = |port: u16| {
            let may_be_elsewhere = options.port == Port::Own && !options.command.names_port();
            SocketProbe::of_port(port, may_be_elsewhere, &self.history, now)
        };
        let (probe, addresses) = match options.port {
            Port::Own => (server.port.map(probe_port), server.port.map(loopback)),
            Port::Fixed(address) => (Some(probe_port(address.port())), Some(vec![address])),
            Port::Inherited if options.ready.path.is_some() => {
                (None, server.own_address().map(|address| vec![address]))
            }
            Port::Inherited | Port::None => {
                let inherited = server.own_socket.iter().chain(shared.iter().map(Arc::as_ref));
                let inodes: Vec<u64> = inherited.filter_map(InheritedListener::inode).collect();
                ((!inodes.is_empty()).then(|| SocketProbe::of_inherited(inodes, now)), None)
            }
        };
        if probe.is_none() && addresses.is_none() {
            return Some(Input::Ready { generation, address: None });
        }
        let mut check = Check { probe, ..Check::default() };
        self.connect(generation, &mut check, addresses.unwrap_or_default());
        self.checks.insert(generation, check);
        None
    }

    /// Connects to the addresses to which no task connects yet. A found address is one task each, because one
    /// that does not answer must not delay the others.
    fn connect(&self, generation: GenerationId, check: &mut Check, mut addresses: Vec<SocketAddr>) {
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
                let address = wait_until_ready(&group, &condition).await;
                // A supervisor that has ended needs no event.
                let _ = events.send(ProcessEvent::Ready { generation, address });
            });
        }
    }

    /// Records that an address of a generation accepts connections, or answers. Returns what follows for the
    /// state machine.
    pub(super) fn accepted(
        &mut self,
        generation: GenerationId,
        address: SocketAddr,
        now: Instant,
    ) -> Option<Input> {
        let check = self.checks.get_mut(&generation)?;
        let is_elsewhere = check.is_elsewhere(address);
        check.connecting = JoinSet::new();
        check.addresses.clear();
        let Some(probe) = &mut check.probe else {
            self.end(generation);
            return Some(Input::Ready { generation, address: Some(address) });
        };
        probe.accepted(address, now);
        self.history.serves(is_elsewhere.then_some(address));
        if is_elsewhere {
            return Some(Input::ListensElsewhere { generation, address });
        }
        if self.options.ready.path.is_some() {
            self.end(generation);
            return Some(Input::Ready { generation, address: Some(address) });
        }
        None
    }

    /// Ends the check of a generation.
    pub(super) fn end(&mut self, generation: GenerationId) {
        self.checks.remove(&generation);
    }

    /// What a generation that is not ready has to do.
    pub(super) fn condition(
        &self,
        generation: GenerationId,
        server: &Server,
        processes: &mut Processes,
    ) -> ReadyCondition {
        let probe = self.checks.get(&generation).and_then(|check| check.probe.as_ref());
        match probe.map(SocketProbe::port) {
            Some(None) => ReadyCondition::AcceptsOnSocket,
            Some(Some(port)) => {
                let found = listening_besides(&processes.members(server.process.tree), port);
                ReadyCondition::ListensOnPort { port, found }
            }
            None => ReadyCondition::Answers,
        }
    }

    /// When to look next at the sockets of a generation.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.probes().map(|(_, probe)| probe.next()).min()
    }

    /// Makes every look due now.
    pub(super) fn hasten(&mut self, now: Instant) {
        for check in self.checks.values_mut() {
            if let Some(probe) = &mut check.probe {
                probe.hasten(now);
            }
        }
    }

    /// Looks at the sockets of the generations for which that is due.
    pub(super) fn poll(
        &mut self,
        servers: &BTreeMap<GenerationId, Server>,
        shared: &[Arc<InheritedListener>],
        processes: &mut Processes,
        now: Instant,
    ) -> Vec<Input> {
        let due = self.probes().filter(|(_, probe)| probe.next() <= now).map(|(generation, _)| generation);
        let due: Vec<GenerationId> = due.collect();
        if due.is_empty() {
            return Vec::new();
        }
        let shared: Vec<SocketAddr> = shared.iter().filter_map(|socket| socket.tcp_address()).collect();
        let due = due.into_iter().filter_map(|generation| Some((generation, servers.get(&generation)?)));
        due.filter_map(|(generation, server)| self.probe(generation, server, &shared, processes, now))
            .collect()
    }

    fn probe(
        &mut self,
        generation: GenerationId,
        server: &Server,
        shared: &[SocketAddr],
        processes: &mut Processes,
        now: Instant,
    ) -> Option<Input> {
        let check = self.checks.get_mut(&generation)?;
        let probe = check.probe.as_mut()?;
        let (pids, age) = (processes.members(server.process.tree), server.process.age(now));
        let target = ProbeTarget { leader: server.process.pid, pids: &pids, shared, age };
        let result = probe.probe(&target, &mut self.history, now);
        let address = probe.address().or(server.own_address());
        if probe.is_stale(age) {
            check.probe = None;
        }
        let ready = Some(Input::Ready { generation, address });
        match result {
            ProbeResult::Nothing => None,
            // Goes on, because what the probe sees later helps with the next generation.
            ProbeResult::Doubtful => ready,
            ProbeResult::Waiting => {
                self.end(generation);
                ready
            }
            ProbeResult::ListensAt(addresses) => {
                let mut check = self.checks.remove(&generation)?;
                self.connect(generation, &mut check, addresses);
                self.checks.insert(generation, check);
                None
            }
        }
    }

    fn probes(&self) -> impl Iterator<Item = (GenerationId, &SocketProbe)> {
        self.checks.iter().filter_map(|(generation, check)| Some((*generation, check.probe.as_ref()?)))
    }
}

impl Check {
    /// Whether an address has another port than the one that the server was given.
    fn is_elsewhere(&self, address: SocketAddr) -> bool {
        self.probe.as_ref().and_then(SocketProbe::port).is_some_and(|port| port != address.port())
    }
}
