//! One generation: its states from the builds to the end of its last process, and the steps of a stop. Pure.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::action::{Action, SignalTarget};
use crate::GenerationId;
use crate::change::Batch;
use crate::supervise::event::ProcessExit;
use crate::supervise::options::{Options, StopScope};

/// Time after SIGKILL before a process tree is abandoned: a process that lives longer hangs in the kernel.
const ABANDON_TIMEOUT: Duration = Duration::from_secs(5);

/// How far the builds of the next generation have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BuildState {
    /// The builds run.
    Building,
    /// The builds are out of date and are being stopped. Afterwards they run again. `None`: they got SIGKILL.
    Cancelling { kill_at: Option<Instant> },
    /// The process starts as soon as the older generations allow it.
    Built,
}

impl BuildState {
    /// Time at which builds that are being stopped get SIGKILL.
    pub(super) fn kill_at(self) -> Option<Instant> {
        match self {
            Self::Cancelling { kill_at } => kill_at,
            Self::Building | Self::Built => None,
        }
    }
}

/// The generation that comes next. It has no process yet.
#[derive(Debug)]
pub(super) struct NextGeneration {
    pub id: GenerationId,
    /// The changes that it includes; `None` if it was requested.
    pub because: Option<Arc<Batch>>,
    pub state: BuildState,
}

impl NextGeneration {
    /// Adds a batch to the changes of `previous`, which was to come next until now.
    pub(super) fn new(
        id: GenerationId,
        previous: Option<Self>,
        batch: Option<Batch>,
        options: &Options,
    ) -> Self {
        // Environment files may fail like builds, so they are read before the old generation is stopped.
        let prepares = !options.builds.is_empty() || !options.command.env_files.is_empty();
        let state = match previous.as_ref().map(|previous| previous.state) {
            Some(state @ (BuildState::Building | BuildState::Cancelling { .. })) => state,
            _ if prepares => BuildState::Building,
            _ => BuildState::Built,
        };
        let mut because = previous.and_then(|previous| previous.because);
        match (&mut because, batch) {
            (Some(known), Some(batch)) => Arc::make_mut(known).merge(batch),
            (none, Some(batch)) => *none = Some(Arc::new(batch)),
            (_, None) => {}
        }
        Self { id, because, state }
    }

    /// Begins to stop its builds if they run.
    pub(super) fn cancel(&mut self, options: &Options, now: Instant) -> Option<Action> {
        let runs = self.state == BuildState::Building;
        runs.then(|| self.state = BuildState::Cancelling { kill_at: Some(now + options.stop_timeout) })?;
        Some(Action::StopBuilds)
    }

    /// Kills its builds, unless they have got SIGKILL.
    pub(super) fn kill(&mut self) -> Option<Action> {
        let killed = BuildState::Cancelling { kill_at: None };
        (std::mem::replace(&mut self.state, killed) != killed).then_some(Action::KillBuilds)
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
    /// Got SIGKILL. `None`: it runs as another user, and the next generation waits for its end.
    Killed { give_up_at: Option<Instant> },
}

/// The end of a generation that nothing asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct UnexpectedEnd {
    pub exit: ProcessExit,
    pub ran: Duration,
}

/// A generation that has a process.
#[derive(Debug)]
pub(super) struct Generation {
    pub(super) id: GenerationId,
    pub(super) state: RunState,
    started_at: Instant,
    /// It has served.
    pub(super) was_ready: bool,
    /// The first process of its tree runs.
    has_leader: bool,
    /// An event has reported its end, because it ended by itself or failed.
    pub(super) end_reported: bool,
    /// A process of it runs as another user, so it cannot be signalled.
    pub(super) refuses_signals: bool,
}

impl Generation {
    pub(super) fn start(id: GenerationId, options: &Options, now: Instant) -> Self {
        let state = RunState::Starting { ready_deadline: Some(now + options.ready.timeout) };
        Self {
            id,
            state,
            started_at: now,
            was_ready: false,
            has_leader: true,
            end_reported: false,
            refuses_signals: false,
        }
    }

    pub(super) fn is_starting(&self) -> bool {
        matches!(self.state, RunState::Starting { .. })
    }

    /// Whether it gets new requests.
    pub(super) fn serves(&self) -> bool {
        self.state == RunState::Ready
    }

    /// Whether the next generation may start beside it.
    pub(super) fn allows_overlap(&self) -> bool {
        self.was_ready && !(self.refuses_signals && self.is_stopping())
    }

    /// Whether it is being stopped or killed.
    pub(super) fn is_stopping(&self) -> bool {
        matches!(self.state, RunState::Stopping { .. } | RunState::Killed { .. })
    }

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
            RunState::Killed { give_up_at } => give_up_at,
        }
    }

    /// Begins to stop it: its leader or its whole tree gets the stop signal.
    pub(super) fn stop(&mut self, options: &Options, now: Instant) -> Action {
        let waits_for_leader = options.stop_scope == StopScope::Leader && self.has_leader;
        let rest_at = waits_for_leader.then(|| now + options.stop_timeout / 2);
        self.state = RunState::Stopping { since: now, rest_at, kill_at: now + options.stop_timeout };
        let target = if waits_for_leader { SignalTarget::Leader } else { SignalTarget::Tree };
        Action::Signal { generation: self.id, target, signal: options.stop_signal }
    }

    /// Kills its tree.
    pub(super) fn kill(&mut self, waited: Duration, now: Instant) -> Action {
        self.state = RunState::Killed { give_up_at: Some(now + ABANDON_TIMEOUT) };
        Action::KillTree { generation: self.id, waited }
    }

    /// If it was killed and refuses signals, the next generation waits for its end, but the end of the supervisor
    /// does not.
    pub(super) fn give_up_refused(&mut self, supervisor_stops: bool, now: Instant) {
        if let RunState::Killed { give_up_at } = &mut self.state
            && self.refuses_signals
        {
            *give_up_at = supervisor_stops.then_some(now);
        }
    }

    /// Its leader has ended: the rest of its tree gets the stop signal if it did not have it yet.
    pub(super) fn leader_ended(&mut self, options: &Options) -> Option<Action> {
        self.has_leader = false;
        self.stop_rest(SignalTarget::Tree, options)
    }

    /// Sends the stop signal to the processes that wait for the leader, after it has ended or was too slow.
    pub(super) fn stop_rest(&mut self, target: SignalTarget, options: &Options) -> Option<Action> {
        let RunState::Stopping { rest_at, .. } = &mut self.state else { return None };
        rest_at.take()?;
        Some(Action::Signal { generation: self.id, target, signal: options.stop_signal })
    }
}
