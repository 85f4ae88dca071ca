//! How a generation is stopped: which processes get the stop signal, and when. Pure.

use std::time::{Duration, Instant};

use super::action::Action;
use super::generation::{Generation, RunState};
use crate::GenerationId;
use crate::supervise::options::{Options, StopScope};
use crate::supervise::signal::Signal;

/// The options of a stop.
#[derive(Debug)]
pub(super) struct StopPolicy {
    signal: Signal,
    timeout: Duration,
    scope: StopScope,
}

impl StopPolicy {
    pub(super) fn new(options: &Options) -> Self {
        Self { signal: options.stop_signal, timeout: options.stop_timeout, scope: options.stop_scope }
    }

    /// Time from the stop signal to SIGKILL.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Begins to stop a generation.
    pub(super) fn begin(&self, generation: &mut Generation, now: Instant) -> Action {
        let kill_at = now + self.timeout;
        let id = generation.id();
        let waits_for_leader = self.scope == StopScope::Leader && generation.has_leader();
        let rest_at = waits_for_leader.then(|| now + self.timeout / 2);
        generation.set_state(RunState::Stopping { since: now, rest_at, kill_at });
        if waits_for_leader { self.signal_leader(id) } else { self.signal_tree(id) }
    }

    /// The leader of a generation has ended: the rest of its tree gets the stop signal if it did not have it yet.
    pub(super) fn leader_ended(&self, generation: &mut Generation) -> Option<Action> {
        generation.leader_ended();
        let RunState::Stopping { since, rest_at: Some(_), kill_at } = generation.state() else { return None };
        generation.set_state(RunState::Stopping { since, rest_at: None, kill_at });
        Some(self.signal_tree(generation.id()))
    }

    /// The leader has not ended in time: the rest of the tree gets the stop signal.
    pub(super) fn leader_is_late(&self, generation: &mut Generation) -> Option<Action> {
        let RunState::Stopping { since, rest_at: Some(_), kill_at } = generation.state() else { return None };
        generation.set_state(RunState::Stopping { since, rest_at: None, kill_at });
        Some(Action::SignalRest { generation: generation.id(), signal: self.signal })
    }

    /// Sends a generation that goes on the stop signal.
    pub(super) fn notify(&self, generation: GenerationId) -> Action {
        match self.scope {
            StopScope::Leader => self.signal_leader(generation),
            StopScope::Group => Action::SignalGroup { generation, signal: self.signal },
        }
    }

    fn signal_leader(&self, generation: GenerationId) -> Action {
        Action::SignalLeader { generation, signal: self.signal }
    }

    fn signal_tree(&self, generation: GenerationId) -> Action {
        Action::StopTree { generation, signal: self.signal }
    }
}
