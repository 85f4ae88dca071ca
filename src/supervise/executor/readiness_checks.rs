//! Waits until generations serve.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;

use super::process_event::ProcessEvent;
use super::running::Server;
use super::tracked_trees::TrackedTrees;
use crate::GenerationId;
use crate::supervise::options::{Options, Port};
use crate::supervise::readiness::{
    ListenHistory, ProbeResult, ProbeTarget, SocketProbe, loopback, wait_until_ready,
};
use crate::supervise::sockets::InheritedListener;
use crate::supervise::state_machine::{Input, ReadyCondition};

/// The checks of all generations that are not ready yet.
#[derive(Debug)]
pub(super) struct ReadinessChecks {
    port: Port,
    path: Option<String>,
    /// The sockets that every generation inherits.
    sockets: Vec<Arc<InheritedListener>>,
    /// What earlier generations have shown of how the server listens.
    history: ListenHistory,
    checks: BTreeMap<GenerationId, Check>,
    events: UnboundedSender<ProcessEvent>,
}

/// How one generation is checked: by a task that connects, by the sockets of its tree, or by both.
#[derive(Debug, Default)]
struct Check {
    connecting: Option<AbortHandle>,
    probe: Option<SocketProbe>,
}

impl Drop for Check {
    fn drop(&mut self) {
        if let Some(task) = &self.connecting {
            task.abort();
        }
    }
}

impl ReadinessChecks {
    pub(super) fn new(
        options: &Options,
        sockets: Vec<Arc<InheritedListener>>,
        events: UnboundedSender<ProcessEvent>,
    ) -> Self {
        Self {
            port: options.port,
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
            Port::Own => server.port().map(|port| {
                check.probe = Some(SocketProbe::elsewhere(port, now));
                let mut addresses = loopback(port);
                addresses.extend(self.history.elsewhere());
                addresses
            }),
            Port::Fixed(address) => Some(vec![address]),
            Port::Inherited if self.path.is_some() => server.own_address().map(|address| vec![address]),
            Port::Inherited | Port::None => {
                let inherited = server.own_socket().into_iter().chain(self.sockets.iter().map(Arc::as_ref));
                let inodes: Vec<u64> = inherited.filter_map(InheritedListener::inode).collect();
                check.probe = (!inodes.is_empty()).then(|| SocketProbe::waiting(inodes, now));
                None
            }
        };
        match addresses {
            Some(addresses) => check.connecting = Some(self.connect(generation, addresses)),
            None if check.probe.is_none() => return Some(Input::Ready { generation, address: None }),
            None => {}
        }
        self.checks.insert(generation, check);
        None
    }

    fn connect(&self, generation: GenerationId, addresses: Vec<SocketAddr>) -> AbortHandle {
        let (events, path) = (self.events.clone(), self.path.clone());
        let task = tokio::spawn(async move {
            let address = wait_until_ready(&addresses, path.as_deref()).await;
            // A supervisor that has ended needs no event.
            let _ = events.send(ProcessEvent::Ready { generation, address });
        });
        task.abort_handle()
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
    pub(super) fn condition(&self, generation: GenerationId) -> ReadyCondition {
        match self.checks.get(&generation).and_then(|check| check.probe.as_ref()) {
            Some(SocketProbe::Waiting { .. }) => ReadyCondition::AcceptsOnSocket,
            _ => ReadyCondition::Answers,
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
        let result = probe.probe(&ProbeTarget::new(&pids, &shared, age), &mut self.history, now);
        if probe.is_stale(age) {
            check.probe = None;
        }
        let ready = Some(Input::Ready { generation, address: server.own_address() });
        match result {
            ProbeResult::Nothing => None,
            // Goes on, because what the probe sees later helps with the next generation.
            ProbeResult::Doubtful => ready,
            ProbeResult::Waiting => {
                self.end(generation);
                ready
            }
            ProbeResult::Elsewhere(address) => {
                self.end(generation);
                Some(Input::ListensElsewhere { generation, address })
            }
        }
    }

    fn probes(&self) -> impl Iterator<Item = (GenerationId, &SocketProbe)> {
        self.checks.iter().filter_map(|(generation, check)| Some((*generation, check.probe.as_ref()?)))
    }
}
