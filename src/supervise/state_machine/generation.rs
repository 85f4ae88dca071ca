//! The states of one generation, from its builds to the end of its last process. Pure.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::GenerationId;
use crate::change::Batch;
use crate::supervise::phase::ProcessExit;

/// How far the builds of the next generation have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BuildState {
    /// The builds run.
    Building,
    /// The builds are out of date and are being stopped. Afterwards they run again.
    Cancelling { kill_at: Instant, killed: bool },
    /// The process starts as soon as the older generations allow it.
    Built,
}

/// The generation that comes next. It has no process yet.
#[derive(Debug)]
pub(super) struct NextGeneration {
    id: GenerationId,
    because: Option<Arc<Batch>>,
    state: BuildState,
}

impl NextGeneration {
    pub(super) fn new(id: GenerationId, because: Option<Arc<Batch>>, state: BuildState) -> Self {
        Self { id, because, state }
    }

    pub(super) fn id(&self) -> GenerationId {
        self.id
    }

    pub(super) fn state(&self) -> BuildState {
        self.state
    }

    pub(super) fn set_state(&mut self, state: BuildState) {
        self.state = state;
    }

    /// The changes that this generation includes; `None` if it was requested.
    pub(super) fn because(&self) -> Option<Arc<Batch>> {
        self.because.clone()
    }

    /// The changes that this generation includes, together with newer ones.
    pub(super) fn because_also(&self, batch: Option<Batch>) -> Option<Arc<Batch>> {
        match (&self.because, batch) {
            (Some(known), Some(batch)) => {
                let mut joined = Batch::clone(known);
                joined.merge(batch);
                Some(Arc::new(joined))
            }
            (known, batch) => known.clone().or(batch.map(Arc::new)),
        }
    }
}

/// How far a generation with a process has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunState {
    /// Not ready yet. Without a deadline the time is up, and the executor finds out why.
    Starting { ready_deadline: Option<Instant> },
    /// Serves.
    Ready,
    /// Finishes the requests in flight until this time, and gets no new ones.
    Draining { until: Instant },
    /// Its leader got the stop signal at `since`. The rest of the tree gets it at `rest_at`; `None`: has got it.
    Stopping { since: Instant, rest_at: Option<Instant>, kill_at: Instant },
    /// Got SIGKILL.
    Killed { give_up_at: Instant },
}

/// The end of a generation that nothing asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct UnexpectedEnd {
    pub(super) exit: ProcessExit,
    pub(super) ran: Duration,
}

/// A generation that has a process.
#[derive(Debug)]
pub(super) struct Generation {
    id: GenerationId,
    state: RunState,
    started_at: Instant,
    was_ready: bool,
    has_leader: bool,
    /// An event has reported its end, because it ended by itself or failed.
    end_reported: bool,
}

impl Generation {
    /// A generation that starts now.
    pub(super) fn start(id: GenerationId, ready_deadline: Instant, now: Instant) -> Self {
        let state = RunState::Starting { ready_deadline: Some(ready_deadline) };
        Self { id, state, started_at: now, was_ready: false, has_leader: true, end_reported: false }
    }

    pub(super) fn id(&self) -> GenerationId {
        self.id
    }

    pub(super) fn state(&self) -> RunState {
        self.state
    }

    pub(super) fn set_state(&mut self, state: RunState) {
        self.was_ready |= state == RunState::Ready;
        self.state = state;
    }

    pub(super) fn is_starting(&self) -> bool {
        matches!(self.state, RunState::Starting { .. })
    }

    /// Whether it starts or serves, as opposed to being on its way out.
    pub(super) fn is_active(&self) -> bool {
        matches!(self.state, RunState::Starting { .. } | RunState::Ready)
    }

    /// Whether it has ever served.
    pub(super) fn was_ready(&self) -> bool {
        self.was_ready
    }

    /// Whether the first process of its tree runs.
    pub(super) fn has_leader(&self) -> bool {
        self.has_leader
    }

    pub(super) fn leader_ended(&mut self) {
        self.has_leader = false;
    }

    pub(super) fn is_end_reported(&self) -> bool {
        self.end_reported
    }

    /// Records that an event reports its end.
    pub(super) fn report_end(&mut self) {
        self.end_reported = true;
    }

    /// Time since its start.
    pub(super) fn ran(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started_at)
    }

    /// Time at which its state changes without any input.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            RunState::Ready => None,
            RunState::Starting { ready_deadline } => ready_deadline,
            RunState::Draining { until } => Some(until),
            RunState::Stopping { rest_at, kill_at, .. } => Some(rest_at.unwrap_or(kill_at)),
            RunState::Killed { give_up_at } => Some(give_up_at),
        }
    }
}
