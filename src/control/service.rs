//! How one service is, followed from the events of its session. Pure.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::clock::Clock;
use super::history::{History, failure};
use super::protocol::{Failure, ServiceStatus, State};
use crate::GenerationId;
use crate::session::Event;
use crate::supervise::{self, Phase};

/// What the events of a session say about its service.
#[derive(Debug)]
pub(super) struct ServiceState {
    clock: Clock,
    state: State,
    since: Instant,
    newest: Option<GenerationId>,
    /// The first process of each generation that runs.
    processes: BTreeMap<GenerationId, Process>,
    serving: Option<Serving>,
    failure: Option<Failure>,
    is_halted: bool,
    is_paused: bool,
    /// Where the proxy listens.
    addresses: Vec<SocketAddr>,
    history: History,
}

#[derive(Debug, Clone, Copy)]
struct Process {
    pid: u32,
    started: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Serving {
    generation: GenerationId,
    upstream: Option<SocketAddr>,
}

impl ServiceState {
    pub(super) fn new(history: History, clock: Clock, now: Instant) -> Self {
        Self {
            clock,
            state: State::NotStarted,
            since: now,
            newest: None,
            processes: BTreeMap::new(),
            serving: None,
            failure: None,
            is_halted: false,
            is_paused: false,
            addresses: Vec::new(),
            history,
        }
    }

    pub(super) fn history(&self) -> &History {
        &self.history
    }

    /// The newest generation that runs.
    pub(super) fn running(&self) -> Option<GenerationId> {
        self.processes.keys().next_back().copied()
    }

    /// Time since the start of a generation that runs.
    pub(super) fn age(&self, generation: GenerationId, now: Instant) -> Option<Duration> {
        self.processes.get(&generation).map(|process| now.saturating_duration_since(process.started))
    }

    /// Whether a generation runs.
    pub(super) fn runs(&self, generation: GenerationId) -> bool {
        self.processes.contains_key(&generation)
    }

    /// The first process of the newest generation that runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.process().map(|process| process.pid)
    }

    fn process(&self) -> Option<Process> {
        self.processes.values().next_back().copied()
    }

    /// Follows an event of the session.
    pub(super) fn observe(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Child(supervise::Event::Phase { generation, phase }) => {
                self.phase(*generation, phase, now)
            }
            Event::Child(supervise::Event::Restarting { generation, because }) => {
                self.history.restarting(*generation, because.as_deref(), now);
            }
            Event::Child(supervise::Event::Paused) => self.is_paused = true,
            Event::Child(supervise::Event::Resumed) => self.is_paused = false,
            Event::Child(supervise::Event::Halted) => self.is_halted = true,
            #[cfg(feature = "proxy")]
            Event::Proxy(crate::proxy::Event::Listening { addresses }) => {
                self.addresses.clone_from(addresses)
            }
            Event::Ended(_) => {
                self.processes.clear();
                self.serving = None;
            }
            _ => {}
        }
    }

    fn phase(&mut self, generation: GenerationId, phase: &Phase, now: Instant) {
        self.history.phase(generation, phase, now);
        self.follow_process(generation, phase, now);
        if self.newest.is_some_and(|newest| newest > generation) {
            return;
        }
        self.newest = Some(generation);
        let state = match phase {
            Phase::Building => State::Building,
            Phase::BuildFailed(_) => State::BuildFailed,
            Phase::Starting { .. } => State::Starting,
            Phase::Ready { .. } => State::Ready,
            Phase::Draining => State::Draining,
            Phase::Stopping if self.failure.is_none() => State::Stopping,
            Phase::Stopped if self.failure.is_none() => State::Stopped,
            Phase::Stopping | Phase::Stopped => self.state,
            Phase::Exited(_) => State::Exited,
            Phase::Failed(_) => State::Failed,
        };
        if state != self.state {
            (self.state, self.since) = (state, now);
        }
        match phase {
            Phase::Building | Phase::Starting { .. } => (self.is_halted, self.failure) = (false, None),
            Phase::BuildFailed(report) | Phase::Exited(report) | Phase::Failed(report) => {
                self.failure = Some(failure(report));
            }
            _ => {}
        }
    }

    /// Follows which generations run, and which one serves.
    fn follow_process(&mut self, generation: GenerationId, phase: &Phase, now: Instant) {
        match phase {
            Phase::Starting { pid } => {
                self.processes.insert(generation, Process { pid: *pid, started: now });
            }
            Phase::Stopped | Phase::Exited(_) | Phase::Failed(_) => {
                self.processes.remove(&generation);
            }
            _ => {}
        }
        match phase {
            Phase::Ready { address } => self.serving = Some(Serving { generation, upstream: *address }),
            Phase::Stopping | Phase::Stopped | Phase::Exited(_) | Phase::Failed(_) => {
                self.serving.take_if(|serving| serving.generation == generation);
            }
            _ => {}
        }
    }

    /// The status, without what only the system knows.
    pub(super) fn status(&self, name: &str, command: &str) -> ServiceStatus {
        let urls = self.addresses.iter().map(|address| format!("http://{address}"));
        let serving = self.serving;
        ServiceStatus {
            name: name.to_owned(),
            command: command.to_owned(),
            state: self.state,
            since_us: self.clock.unix_us(self.since),
            generation: self.newest.map(GenerationId::number),
            serving: serving.map(|serving| serving.generation.number()),
            halted: self.is_halted,
            paused: self.is_paused,
            pid: self.pid(),
            started_us: self.process().map(|process| self.clock.unix_us(process.started)),
            addresses: urls.collect(),
            upstream: serving.and_then(|serving| serving.upstream).map(|upstream| upstream.to_string()),
            restarts: self.history.restarts(),
            failed_restarts: self.history.failed(),
            held_requests: None,
            processes: None,
            memory_bytes: None,
            cpu_us: None,
            failure: self.failure.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Remedy;
    use crate::supervise::{ExitReport, ProcessExit};
    use crate::watch::Compare;

    fn service() -> ServiceState {
        let clock = Clock::new();
        ServiceState::new(History::new("/shop".into(), Compare::Content, clock), clock, Instant::now())
    }

    fn follow(state: &mut ServiceState, generation: u64, phase: Phase) {
        let generation = GenerationId::new(generation);
        let event = Event::Child(supervise::Event::Phase { generation, phase });
        state.observe(&event, Instant::now());
    }

    fn report() -> ExitReport {
        ExitReport {
            ended: ProcessExit::Status(1),
            ran: Duration::ZERO,
            message: None,
            remedy: Remedy::None,
            output: b"bad\n".to_vec(),
        }
    }

    const READY: Phase = Phase::Ready { address: None };

    #[test]
    fn an_old_generation_serves_while_the_new_one_has_failed() {
        let mut state = service();
        follow(&mut state, 1, Phase::Starting { pid: 10 });
        follow(&mut state, 1, READY);
        follow(&mut state, 2, Phase::Starting { pid: 20 });
        assert_eq!((state.pid(), state.status("web", "").serving), (Some(20), Some(1)));
        follow(&mut state, 2, Phase::Failed(report()));
        follow(&mut state, 2, Phase::Stopped);
        let status = state.status("web", "");
        assert_eq!((status.state, status.generation, status.serving), (State::Failed, Some(2), Some(1)));
        assert_eq!(status.failure.unwrap().output, ["bad"]);
        // Later phases of the old generation are not the state of the service.
        follow(&mut state, 1, Phase::Draining);
        assert_eq!(state.status("web", "").state, State::Failed);
        follow(&mut state, 3, Phase::Starting { pid: 30 });
        follow(&mut state, 3, READY);
        let status = state.status("web", "");
        assert_eq!((status.state, status.serving, status.failure), (State::Ready, Some(3), None));
    }

    #[test]
    fn a_halt_lasts_until_the_next_start() {
        let mut state = service();
        follow(&mut state, 1, Phase::Starting { pid: 10 });
        follow(&mut state, 1, Phase::Stopping);
        follow(&mut state, 1, Phase::Stopped);
        state.observe(&Event::Child(supervise::Event::Halted), Instant::now());
        let status = state.status("web", "");
        assert_eq!((status.state, status.halted, status.pid), (State::Stopped, true, None));
        follow(&mut state, 2, Phase::Starting { pid: 20 });
        assert!(!state.status("web", "").halted);
    }
}
