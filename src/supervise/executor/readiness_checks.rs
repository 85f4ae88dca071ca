//! Waits until generations serve.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

use super::process_event::ProcessEvent;
use super::running::Server;
use super::tracked_trees::TrackedTrees;
use crate::GenerationId;
use crate::supervise::options::{Options, Port};
use crate::supervise::readiness::{
    Condition, ListenHistory, ListenProbe, ProbeResult, ProbeTarget, SocketProbe, listening_besides,
    loopback, wait_until_ready,
};
use crate::supervise::sockets::InheritedListener;
use crate::supervise::state_machine::{Input, ReadyCondition};

/// The checks of all generations that are not ready yet.
#[derive(Debug)]
pub(super) struct ReadinessChecks {
    port: Port,
    /// The command names the port that it is given, so no other address is the server's.
    names_port: bool,
    path: Option<String>,
    /// The sockets that every generation inherits.
    sockets: Vec<Arc<InheritedListener>>,
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
    pub(super) fn new(
        options: &Options,
        sockets: Vec<Arc<InheritedListener>>,
        events: UnboundedSender<ProcessEvent>,
    ) -> Self {
        Self {
            port: options.port,
            names_port: options.command.names_port(),
            path: options.ready.path.clone(),
            sockets,
            history: ListenHistory::default(),
            checks: BTreeMap::new(),
            events,
        }
    }

    /// Begins to check a generation that was just started. Returns [`Input::Ready`] if it has nothing to wait
    /// for.
    pub(super) fn start(&mut self, generation: GenerationId, server: &Server, now: Instant) -> Option<Input> {
        let mut check = Check::default();
        let addresses = match self.port {
            Port::Own => server.port().map(loopback),
            Port::Fixed(address) => Some(vec![address]),
            Port::Inherited if self.path.is_some() => server.own_address().map(|address| vec![address]),
            Port::Inherited | Port::None => {
                let inherited = server.own_socket().into_iter().chain(self.sockets.iter().map(Arc::as_ref));
                let inodes: Vec<u64> = inherited.filter_map(InheritedListener::inode).collect();
                check.probe = (!inodes.is_empty()).then(|| SocketProbe::waiting(inodes, now));
                None
            }
        };
        if let (Port::Own | Port::Fixed(_), Some(address)) = (self.port, addresses.iter().flatten().next()) {
            let may_be_elsewhere = self.port == Port::Own && !self.names_port;
            let probe = ListenProbe::new(address.port(), may_be_elsewhere, &self.history, now);
            check.probe = Some(SocketProbe::Listening(probe));
        }
        match addresses {
            Some(addresses) => self.connect(generation, &mut check, addresses),
            None if check.probe.is_none() => return Some(Input::Ready { generation, address: None }),
            None => {}
        }
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
            let condition = match &self.path {
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
        let Some(SocketProbe::Listening(probe)) = &mut check.probe else {
            self.end(generation);
            return Some(Input::Ready { generation, address: Some(address) });
        };
        probe.accepted(address, now);
        self.history.serves(is_elsewhere.then_some(address));
        if is_elsewhere {
            return Some(Input::ListensElsewhere { generation, address });
        }
        if self.path.is_some() {
            self.end(generation);
            return Some(Input::Ready { generation, address: Some(address) });
        }
        None
    }

    /// Ends the check of a generation.
    pub(super) fn end(&mut self, generation: GenerationId) {
        self.checks.remove(&generation);
    }

    /// Closes the sockets that every generation inherits.
    pub(super) fn close_sockets(&mut self) {
        self.sockets.clear();
    }

    /// What a generation that is not ready has to do.
    pub(super) fn condition(
        &self,
        generation: GenerationId,
        server: &Server,
        trees: &mut TrackedTrees,
    ) -> ReadyCondition {
        match self.checks.get(&generation).and_then(|check| check.probe.as_ref()) {
            Some(SocketProbe::Waiting { .. }) => ReadyCondition::AcceptsOnSocket,
            Some(SocketProbe::Listening(probe)) => {
                let (pids, port) = (trees.members(server.process().tree()), probe.port());
                ReadyCondition::ListensOnPort { port, found: listening_besides(&pids, port) }
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
        trees: &mut TrackedTrees,
        now: Instant,
    ) -> Vec<Input> {
        let due = self.probes().filter(|(_, probe)| probe.next() <= now).map(|(generation, _)| generation);
        let due: Vec<GenerationId> = due.collect();
        due.into_iter().filter_map(|generation| self.probe(generation, servers, trees, now)).collect()
    }

    fn probe(
        &mut self,
        generation: GenerationId,
        servers: &BTreeMap<GenerationId, Server>,
        trees: &mut TrackedTrees,
        now: Instant,
    ) -> Option<Input> {
        let server = servers.get(&generation)?;
        let check = self.checks.get_mut(&generation)?;
        let probe = check.probe.as_mut()?;
        let shared: Vec<SocketAddr> = self.sockets.iter().filter_map(|socket| socket.tcp_address()).collect();
        let (pids, age) = (trees.members(server.process().tree()), server.process().age(now));
        let target = ProbeTarget::new(server.process().pid(), &pids, &shared, age);
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
        matches!(&self.probe, Some(SocketProbe::Listening(probe)) if probe.port() != address.port())
    }
}
