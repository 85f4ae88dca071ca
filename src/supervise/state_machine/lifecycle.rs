//! The generations that exist, and their way from the build to the end of the last process. Pure.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::action::{Action, ReadyCondition};
use super::generation::{BuildState, Generation, NextGeneration, RunState, UnexpectedEnd};
use super::overlap::Overlap;
use super::stop_policy::StopPolicy;
use crate::GenerationId;
use crate::change::Batch;
use crate::supervise::event::Event;
use crate::supervise::options::Options;
use crate::supervise::phase::{ExitReport, Phase, ProcessExit};

/// Time after SIGKILL before a process tree is abandoned: a process that lives longer hangs in the kernel.
const ABANDON_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum number of generations with processes. A new one waits until the oldest has drained.
const MAX_GENERATIONS: usize = 8;

/// All generations, from the build to the end of the last process.
///
/// Invariants:
/// - At most one generation starts at a time. Without overlap, no process of another generation lives then.
/// - A stop ends: the stop signal, then SIGKILL, then the tree is abandoned.
#[derive(Debug)]
pub(super) struct Lifecycle {
    settings: Settings,
    /// From the oldest to the newest.
    generations: Vec<Generation>,
    next: Option<NextGeneration>,
    last_started: Option<GenerationId>,
    overlap: Overlap,
    /// The newest generation includes every change up to this time.
    includes_until: Option<Instant>,
    /// The supervisor stops, so no generation starts any more.
    stopping: bool,
    actions: Vec<Action>,
}

/// The options that the life of a generation depends on.
#[derive(Debug)]
struct Settings {
    has_builds: bool,
    /// A step that may fail comes before each start: builds, or environment files to read.
    prepares: bool,
    stop: StopPolicy,
    ready_timeout: Duration,
    drain_timeout: Option<Duration>,
}

impl Lifecycle {
    pub(super) fn new(options: &Options) -> Self {
        let settings = Settings {
            has_builds: !options.builds.is_empty(),
            prepares: !options.builds.is_empty() || !options.command.env_files.is_empty(),
            stop: StopPolicy::new(options),
            ready_timeout: options.ready.timeout,
            drain_timeout: options.drain_timeout,
        };
        Self {
            settings,
            generations: Vec::new(),
            next: None,
            last_started: None,
            overlap: Overlap::new(options.overlap && options.can_overlap()),
            includes_until: None,
            stopping: false,
            actions: Vec::new(),
        }
    }

    /// Appends an action.
    pub(super) fn push(&mut self, action: Action) {
        self.actions.push(action);
    }

    pub(super) fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// The newest generation that starts or serves.
    pub(super) fn active(&self) -> Option<GenerationId> {
        self.generations.iter().rev().find(|generation| generation.is_active()).map(Generation::id)
    }

    /// Whether a generation is built, or waits for its start.
    pub(super) fn has_next(&self) -> bool {
        self.next.is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.generations.is_empty() && self.next.is_none()
    }

    /// Whether the newest generation includes a change of this time.
    pub(super) fn includes(&self, change: Instant) -> bool {
        self.includes_until.is_some_and(|until| change < until)
    }

    /// Time at which [`Self::apply_deadlines`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let kill_builds = match self.next.as_ref().map(NextGeneration::state) {
            Some(BuildState::Cancelling { kill_at, killed: false }) => Some(kill_at),
            _ => None,
        };
        self.generations.iter().filter_map(Generation::deadline).chain(kill_builds).min()
    }

    /// Prepares the next generation, or adds the changes to the one that is being prepared.
    pub(super) fn begin(&mut self, batch: Option<Batch>, now: Instant) {
        let generation = self.last_started.map_or(GenerationId::FIRST, GenerationId::next);
        let previous = self.next.take();
        let was_building = previous.as_ref().is_some_and(|next| next.state() == BuildState::Building);
        let because = match &previous {
            Some(next) => next.because_also(batch),
            None => batch.map(Arc::new),
        };
        if self.last_started.is_some() || because.is_some() || previous.is_some() {
            self.emit(Event::Restarting { generation, because: because.clone() });
        }
        let state = match previous.map(|next| next.state()) {
            Some(state @ (BuildState::Building | BuildState::Cancelling { .. })) => state,
            _ if self.settings.prepares => BuildState::Building,
            _ => BuildState::Built,
        };
        self.next = Some(NextGeneration::new(generation, because.clone(), state));
        self.includes_until = Some(now);
        match state {
            BuildState::Building if was_building => self.cancel_builds(now),
            BuildState::Building => self.build(generation, because),
            BuildState::Cancelling { .. } | BuildState::Built => {}
        }
    }

    fn build(&mut self, generation: GenerationId, because: Option<Arc<Batch>>) {
        self.push(Action::Build { generation, because });
        if self.settings.has_builds {
            self.emit_phase(generation, Phase::Building);
        }
    }

    /// The builds of a generation have ended or were cancelled.
    pub(super) fn built(&mut self, generation: GenerationId, failure: Option<ExitReport>, now: Instant) {
        let Some(mut next) = self.next.take_if(|next| next.id() == generation) else { return };
        if self.stopping {
            return;
        }
        if let BuildState::Cancelling { .. } = next.state() {
            next.set_state(BuildState::Building);
            self.includes_until = Some(now);
            self.build(generation, next.because());
        } else if let Some(report) = failure {
            self.emit_phase(generation, Phase::BuildFailed(report));
            if self.active().is_none() {
                self.emit(Event::Waiting { backoff: None });
            }
            return;
        } else {
            next.set_state(BuildState::Built);
        }
        self.next = Some(next);
    }

    /// Starts the next generation if it is built and the older ones allow it.
    pub(super) fn start_next(&mut self, now: Instant) {
        if self.stopping || self.next.as_ref().is_none_or(|next| next.state() != BuildState::Built) {
            return;
        }
        for index in 0..self.generations.len() {
            match self.generations[index].state() {
                RunState::Starting { .. } => self.stop(index, now),
                RunState::Ready if !self.overlap.is_allowed() => self.retire(index, now),
                _ => {}
            }
        }
        let may_start = if self.overlap.is_allowed() {
            self.generations.iter().all(Generation::was_ready) && self.generations.len() < MAX_GENERATIONS
        } else {
            self.generations.is_empty()
        };
        if may_start && let Some(next) = self.next.take() {
            self.last_started = Some(next.id());
            if !self.settings.has_builds {
                self.includes_until = Some(now);
            }
            self.generations.push(Generation::start(next.id(), now + self.settings.ready_timeout, now));
            self.push(Action::Spawn { generation: next.id(), because: next.because() });
        }
    }

    /// The process of a generation runs.
    pub(super) fn spawned(&mut self, generation: GenerationId, pid: u32) {
        self.emit_phase(generation, Phase::Starting { pid });
    }

    /// The process of a generation could not be started.
    pub(super) fn spawn_failed(
        &mut self,
        generation: GenerationId,
        report: ExitReport,
    ) -> Option<UnexpectedEnd> {
        self.generations.remove(self.index(generation)?);
        let end = UnexpectedEnd { exit: report.ended, ran: Duration::ZERO };
        self.emit_phase(generation, Phase::Failed(report));
        Some(end)
    }

    /// A generation serves: older ones that serve are retired.
    pub(super) fn ready(&mut self, generation: GenerationId, address: Option<SocketAddr>, now: Instant) {
        let Some(index) = self.index(generation) else { return };
        if self.generations[index].state() == RunState::Ready && self.overlap.resume_for(generation) {
            // It has opened the port that it was given after all.
            return self.emit_phase(generation, Phase::Ready { address });
        }
        if !self.generations[index].is_starting() {
            return;
        }
        self.generations[index].set_state(RunState::Ready);
        self.emit_phase(generation, Phase::Ready { address });
        for older in 0..index {
            if self.generations[older].state() == RunState::Ready {
                self.retire(older, now);
            }
        }
    }

    /// A generation serves on a port that only one generation can have, so generations take turns from now
    /// on.
    pub(super) fn listens_elsewhere(&mut self, generation: GenerationId, address: SocketAddr, now: Instant) {
        if self.overlap.end_for(generation) {
            self.emit(Event::ListensElsewhere { generation, address });
        }
        self.ready(generation, Some(address), now);
    }

    /// A generation could not bind a port because `holder` has it. Returns whether to try again, which is
    /// promising once generations take turns.
    pub(super) fn port_conflict(
        &mut self,
        generation: GenerationId,
        holder: GenerationId,
        address: SocketAddr,
    ) -> bool {
        let starts = self.index(generation).is_some_and(|index| self.generations[index].is_starting());
        if !starts || self.stopping || !self.overlap.end() {
            return false;
        }
        self.emit(Event::ListensElsewhere { generation: holder, address });
        true
    }

    /// The time to become ready is over, and the executor has found out which condition is not met. A generation
    /// that replaces another fails. A generation without an older one that serves goes on: its end would help
    /// no client.
    pub(super) fn not_ready(
        &mut self,
        generation: GenerationId,
        condition: ReadyCondition,
        output: Vec<u8>,
        now: Instant,
    ) -> Option<UnexpectedEnd> {
        let index = self.index(generation).filter(|index| self.generations[*index].is_starting())?;
        let ran = self.generations[index].ran(now);
        let (message, remedy) = condition.failure(self.settings.ready_timeout);
        if !self.generations.iter().any(|other| other.state() == RunState::Ready) {
            let message = format!("generation {generation} is {message}; devrun goes on waiting for it");
            self.emit(Event::Warning { message, remedy });
            return None;
        }
        let ended = ProcessExit::NotReady;
        let report = ExitReport { ended, ran, message: Some(message), remedy, output };
        self.report_end(index, Phase::Failed(report), now);
        Some(UnexpectedEnd { exit: ended, ran })
    }

    /// The proxy has no request in flight on a generation any more.
    pub(super) fn drained(&mut self, generation: GenerationId, now: Instant) {
        if let Some(index) = self.index(generation)
            && matches!(self.generations[index].state(), RunState::Draining { .. })
        {
            self.stop(index, now);
        }
    }

    /// The leader of a generation has ended.
    pub(super) fn leader_exited(
        &mut self,
        generation: GenerationId,
        report: ExitReport,
        now: Instant,
    ) -> Option<UnexpectedEnd> {
        let index = self.index(generation)?;
        self.actions.extend(self.settings.stop.leader_ended(&mut self.generations[index]));
        let end = UnexpectedEnd { exit: report.ended, ran: self.generations[index].ran(now) };
        match self.generations[index].state() {
            RunState::Starting { .. } => self.report_end(index, Phase::Failed(report), now),
            RunState::Ready => self.report_end(index, Phase::Exited(report), now),
            RunState::Draining { .. } => {
                self.stop(index, now);
                return None;
            }
            RunState::Stopping { .. } | RunState::Killed { .. } => return None,
        }
        Some(end)
    }

    /// The last process of a generation has ended.
    pub(super) fn tree_gone(&mut self, generation: GenerationId) {
        let Some(index) = self.index(generation) else { return };
        if !self.generations.remove(index).is_end_reported() {
            self.emit_phase(generation, Phase::Stopped);
        }
    }

    /// Stops all generations and builds. No generation starts afterwards.
    pub(super) fn stop_all(&mut self, now: Instant) {
        self.stopping = true;
        match self.next.as_ref().map(NextGeneration::state) {
            Some(BuildState::Built) => self.next = None,
            Some(BuildState::Building) => self.cancel_builds(now),
            Some(BuildState::Cancelling { .. }) | None => {}
        }
        for index in 0..self.generations.len() {
            match self.generations[index].state() {
                RunState::Stopping { .. } | RunState::Killed { .. } => {}
                _ => self.stop(index, now),
            }
        }
    }

    /// Kills all generations and builds. No generation starts afterwards.
    pub(super) fn kill_all(&mut self, now: Instant) {
        self.stopping = true;
        self.next.take_if(|next| next.state() == BuildState::Built);
        self.kill_builds(now);
        for index in 0..self.generations.len() {
            if !matches!(self.generations[index].state(), RunState::Killed { .. }) {
                self.kill(index, Duration::ZERO, now);
            }
        }
    }

    fn cancel_builds(&mut self, now: Instant) {
        if let Some(next) = &mut self.next {
            let kill_at = now + self.settings.stop.timeout();
            next.set_state(BuildState::Cancelling { kill_at, killed: false });
            self.push(Action::StopBuilds);
        }
    }

    fn kill_builds(&mut self, now: Instant) {
        if let Some(next) = &mut self.next
            && !matches!(next.state(), BuildState::Cancelling { killed: true, .. })
        {
            next.set_state(BuildState::Cancelling { kill_at: now, killed: true });
            self.push(Action::KillBuilds);
        }
    }

    /// Acts on every deadline that has passed.
    pub(super) fn apply_deadlines(&mut self, now: Instant) {
        if let Some(next) = &self.next
            && let BuildState::Cancelling { kill_at, killed: false } = next.state()
            && kill_at <= now
        {
            self.kill_builds(now);
        }
        for index in (0..self.generations.len()).rev() {
            if self.generations[index].deadline().is_some_and(|deadline| deadline <= now) {
                self.apply_deadline(index, now);
            }
        }
    }

    fn apply_deadline(&mut self, index: usize, now: Instant) {
        let generation = self.generations[index].id();
        match self.generations[index].state() {
            RunState::Ready => {}
            RunState::Starting { .. } => {
                self.generations[index].set_state(RunState::Starting { ready_deadline: None });
                self.push(Action::DiagnoseReadiness { generation });
            }
            RunState::Draining { .. } => self.stop(index, now),
            RunState::Stopping { rest_at: Some(_), .. } => {
                let action = self.settings.stop.leader_is_late(&mut self.generations[index]);
                self.actions.extend(action);
            }
            RunState::Stopping { since, .. } => {
                self.kill(index, now.saturating_duration_since(since), now);
            }
            RunState::Killed { .. } => {
                self.push(Action::Abandon { generation });
                self.tree_gone(generation);
            }
        }
    }

    /// Ends a generation that served. If the proxy drains, the requests in flight finish first.
    fn retire(&mut self, index: usize, now: Instant) {
        let Some(timeout) = self.settings.drain_timeout else { return self.stop(index, now) };
        self.generations[index].set_state(RunState::Draining { until: now + timeout });
        self.emit_phase(self.generations[index].id(), Phase::Draining);
    }

    fn stop(&mut self, index: usize, now: Instant) {
        self.actions.push(self.settings.stop.begin(&mut self.generations[index], now));
        if !self.generations[index].is_end_reported() {
            self.emit_phase(self.generations[index].id(), Phase::Stopping);
        }
    }

    fn kill(&mut self, index: usize, waited: Duration, now: Instant) {
        self.generations[index].set_state(RunState::Killed { give_up_at: now + ABANDON_TIMEOUT });
        self.push(Action::KillTree { generation: self.generations[index].id(), waited });
    }

    /// Reports an end that nothing asked for, and stops the rest of the tree.
    fn report_end(&mut self, index: usize, phase: Phase, now: Instant) {
        self.generations[index].report_end();
        self.emit_phase(self.generations[index].id(), phase);
        self.stop(index, now);
    }

    fn index(&self, generation: GenerationId) -> Option<usize> {
        self.generations.iter().position(|known| known.id() == generation)
    }

    fn emit(&mut self, event: Event) {
        self.push(Action::Emit(event));
    }

    fn emit_phase(&mut self, generation: GenerationId, phase: Phase) {
        self.emit(Event::Phase { generation, phase });
    }
}

#[cfg(test)]
impl Lifecycle {
    pub(super) fn overlaps(&self) -> bool {
        self.overlap.is_allowed()
    }

    pub(super) fn is_stopping(&self, generation: GenerationId) -> bool {
        self.index(generation).is_some_and(|index| {
            matches!(self.generations[index].state(), RunState::Stopping { .. } | RunState::Killed { .. })
        })
    }
}
