//! The generations that exist, and their way from the build to the end of the last process. Pure.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::action::{Action, SignalTarget};
use super::generation::{BuildState, Generation, NextGeneration, RunState, UnexpectedEnd};
use crate::change::Batch;
use crate::supervise::event::{Event, ExitReport, Phase, ProcessExit};
use crate::supervise::options::Options;
use crate::supervise::sockets::Endpoint;
use crate::{GenerationId, Remedy};

/// Maximum number of generations with processes. A new one waits until the oldest has drained.
const MAX_GENERATIONS: usize = 8;

/// All generations, from the build to the end of the last process.
///
/// Invariants:
/// - At most one generation starts at a time. Without overlap, no process of another generation lives then.
/// - A stop ends: the stop signal, then SIGKILL, then the tree is abandoned.
#[derive(Debug)]
pub(super) struct Lifecycle {
    options: Arc<Options>,
    /// From the oldest to the newest.
    generations: Vec<Generation>,
    next: Option<NextGeneration>,
    last_started: Option<GenerationId>,
    /// A new generation starts while the old one serves. Otherwise generations take turns.
    pub(super) overlaps: bool,
    /// The newest generation that serves on another address than the port that it was given. Generations take
    /// turns for its sake if `turns_for_elsewhere` is set.
    elsewhere: Option<GenerationId>,
    turns_for_elsewhere: bool,
    /// The remedy for generations that cannot overlap was given.
    overlap_explained: bool,
    /// The newest generation includes every change up to this time.
    includes_until: Option<Instant>,
    /// The supervisor stops, so no generation starts any more.
    stopping: bool,
    /// The builds that are being stopped do not run again, unless the next generation begins.
    halted: bool,
    actions: Vec<Action>,
}

impl Lifecycle {
    pub(super) fn new(options: Arc<Options>) -> Self {
        Self {
            overlaps: options.overlap && options.can_overlap(),
            options,
            generations: Vec::new(),
            next: None,
            last_started: None,
            elsewhere: None,
            turns_for_elsewhere: false,
            overlap_explained: false,
            includes_until: None,
            stopping: false,
            halted: false,
            actions: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, action: Action) {
        self.actions.push(action);
    }

    pub(super) fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// The newest generation that starts or serves.
    pub(super) fn active(&self) -> Option<GenerationId> {
        let is_active = |known: &&Generation| known.is_starting() || known.state == RunState::Ready;
        self.generations.iter().rev().find(is_active).map(|generation| generation.id)
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
        self.generations
            .iter()
            .filter_map(Generation::deadline)
            .chain(self.build_state().and_then(BuildState::kill_at))
            .min()
    }

    fn build_state(&self) -> Option<BuildState> {
        self.next.as_ref().map(|next| next.state)
    }

    /// Prepares the next generation, or adds the changes to the one that is being prepared.
    pub(super) fn begin(&mut self, batch: Option<Batch>, now: Instant) {
        self.halted = false;
        let generation = self.last_started.map_or(GenerationId::FIRST, GenerationId::next);
        let previous = self.build_state();
        let next = NextGeneration::new(generation, self.next.take(), batch, &self.options);
        let (because, state) = (next.because.clone(), next.state);
        if self.last_started.is_some() || because.is_some() || previous.is_some() {
            self.emit(Event::Restarting { generation, because: because.clone() });
        }
        self.next = Some(next);
        self.includes_until = Some(now);
        if previous == Some(BuildState::Building) {
            self.cancel_next(now);
        } else if state == BuildState::Building {
            self.build(generation, because);
        }
    }

    fn build(&mut self, generation: GenerationId, because: Option<Arc<Batch>>) {
        self.push(Action::Build { generation, because });
        if !self.options.builds.is_empty() {
            self.emit_phase(generation, Phase::Building);
        }
    }

    pub(super) fn built(&mut self, generation: GenerationId, failure: Option<ExitReport>, now: Instant) {
        let Some(mut next) = self.next.take_if(|next| next.id == generation) else { return };
        if self.stopping || self.halted {
            return;
        }
        if let BuildState::Cancelling { .. } = next.state {
            next.state = BuildState::Building;
            self.includes_until = Some(now);
            self.build(generation, next.because.clone());
        } else if let Some(report) = failure {
            self.emit_phase(generation, Phase::BuildFailed(report));
            if self.active().is_none() {
                self.emit(Event::Waiting { backoff: None });
            }
            return;
        } else {
            next.state = BuildState::Built;
        }
        self.next = Some(next);
    }

    /// Starts the next generation if it is built and the older ones allow it.
    pub(super) fn start_next(&mut self, now: Instant) {
        if self.stopping || self.build_state() != Some(BuildState::Built) {
            return;
        }
        self.end_older(!self.overlaps, now);
        let may_start = if self.overlaps {
            self.generations.iter().all(Generation::allows_overlap)
                && self.generations.len() < MAX_GENERATIONS
        } else {
            self.generations.is_empty()
        };
        if may_start && let Some(next) = self.next.take() {
            self.last_started = Some(next.id);
            if self.options.builds.is_empty() {
                self.includes_until = Some(now);
            }
            self.generations.push(Generation::start(next.id, &self.options, now));
            self.push(Action::Spawn { generation: next.id, because: next.because });
        }
    }

    pub(super) fn spawn_failed(&mut self, id: GenerationId, report: ExitReport) -> Option<UnexpectedEnd> {
        self.generations.remove(self.index(id)?);
        let end = UnexpectedEnd { exit: report.ended, ran: Duration::ZERO };
        self.emit_phase(id, Phase::Failed(report));
        Some(end)
    }

    /// A generation serves: older ones that serve are retired.
    pub(super) fn ready(&mut self, generation: GenerationId, address: Option<SocketAddr>, now: Instant) {
        let Some(index) = self.index(generation) else { return };
        let known = &mut self.generations[index];
        if known.state == RunState::Ready && self.elsewhere == Some(generation) {
            // It has opened the port that it was given after all.
            self.elsewhere = None;
            self.overlaps |= std::mem::take(&mut self.turns_for_elsewhere);
            return self.emit_phase(generation, Phase::Ready { address });
        }
        if !known.is_starting() {
            return;
        }
        (known.state, known.was_ready) = (RunState::Ready, true);
        self.emit_phase(generation, Phase::Ready { address });
        for older in 0..index {
            if self.generations[older].state == RunState::Ready {
                self.retire(older, now);
            }
        }
    }

    /// A generation serves on a port that only one generation can have, so generations take turns from now
    /// on.
    pub(super) fn listens_elsewhere(
        &mut self,
        generation: GenerationId,
        address: SocketAddr,
        endpoint: Endpoint,
        now: Instant,
    ) {
        self.elsewhere = Some(generation);
        if std::mem::take(&mut self.overlaps) {
            self.turns_for_elsewhere = true;
            self.emit(Event::ListensElsewhere { generation, endpoint });
        }
        self.ready(generation, Some(address), now);
    }

    /// Stops a generation that starts, or has run for less than `age`. Returns whether it was one.
    pub(super) fn stop_young(&mut self, generation: GenerationId, age: Duration, now: Instant) -> bool {
        let is_young = |known: &Generation| known.is_starting() || known.serves() && known.ran(now) < age;
        let index = self.index(generation).filter(|index| is_young(&self.generations[*index]));
        index.inspect(|index| self.stop(*index, now)).is_some()
    }

    /// Generations take turns from now on, because one that starts needs what `holder` has. Returns whether to
    /// start again, which is promising then.
    pub(super) fn take_turns(
        &mut self,
        generation: GenerationId,
        holder: GenerationId,
        address: Option<SocketAddr>,
        words: String,
    ) -> bool {
        let starts = self.index(generation).is_some_and(|index| self.generations[index].is_starting());
        if !starts || self.stopping || !std::mem::take(&mut self.overlaps) {
            return false;
        }
        self.emit(Event::TakesTurns { generation, holder, address, words });
        true
    }

    /// A generation was not ready in time; `message` says why. It fails if an older one serves. Otherwise it goes
    /// on, because its end would help no client.
    pub(super) fn not_ready(
        &mut self,
        generation: GenerationId,
        message: String,
        remedy: Remedy,
        output: Vec<u8>,
        now: Instant,
    ) -> Option<UnexpectedEnd> {
        let index = self.index(generation).filter(|index| self.generations[*index].is_starting())?;
        let ran = self.generations[index].ran(now);
        if !self.generations.iter().any(Generation::serves) {
            let message = format!("generation {generation} is {message}; devrun goes on waiting for it");
            self.emit(Event::Warning { message, remedy });
            return None;
        }
        let ended = ProcessExit::NotReady;
        let report = ExitReport { ended, ran, message: Some(message), remedy, output };
        self.report_end(index, Phase::Failed(report), now);
        Some(UnexpectedEnd { exit: ended, ran })
    }

    pub(super) fn drained(&mut self, generation: GenerationId, now: Instant) {
        if let Some(index) = self.index(generation)
            && matches!(self.generations[index].state, RunState::Draining { .. })
        {
            self.stop(index, now);
        }
    }

    pub(super) fn leader_exited(
        &mut self,
        generation: GenerationId,
        mut report: ExitReport,
        now: Instant,
    ) -> Option<UnexpectedEnd> {
        let index = self.index(generation)?;
        self.actions.extend(self.generations[index].leader_ended(&self.options));
        let end = UnexpectedEnd { exit: report.ended, ran: self.generations[index].ran(now) };
        match self.generations[index].state {
            RunState::Starting { .. } => {
                let is_beside_another = self.overlaps && self.generations.iter().any(Generation::serves);
                if is_beside_another && !std::mem::replace(&mut self.overlap_explained, true) {
                    report.remedy = Remedy::TakeTurns;
                }
                self.report_end(index, Phase::Failed(report), now);
            }
            RunState::Ready => self.report_end(index, Phase::Exited(report), now),
            RunState::Draining { .. } => {
                self.stop(index, now);
                return None;
            }
            RunState::Stopping { .. } | RunState::Killed { .. } => return None,
        }
        Some(end)
    }

    pub(super) fn tree_gone(&mut self, generation: GenerationId) {
        let Some(index) = self.index(generation) else { return };
        if !self.generations.remove(index).end_reported {
            self.emit_phase(generation, Phase::Stopped);
        }
    }

    /// A process of a generation or of its builds runs as another user. Named once for each generation.
    pub(super) fn signal_refused(&mut self, generation: GenerationId, warning: Event) {
        let mut known = self.generations.iter_mut().filter(|known| known.id == generation);
        if known.any(|known| std::mem::replace(&mut known.refuses_signals, true)) {
            return;
        }
        let killed = BuildState::Cancelling { kill_at: None };
        self.next.take_if(|next| self.stopping && next.id == generation && next.state == killed);
        self.emit(warning);
    }

    /// Ends all generations, the serving one after its requests in flight, and cancels the builds. Returns the changes
    /// of the generation that was to come next.
    pub(super) fn halt(&mut self, now: Instant) -> Option<Batch> {
        self.halted = true;
        let because = self.next.as_mut().and_then(|next| next.because.take());
        self.cancel_next(now);
        self.end_older(true, now);
        because.map(Arc::unwrap_or_clone)
    }

    fn cancel_next(&mut self, now: Instant) {
        self.next.take_if(|next| next.state == BuildState::Built);
        let action = self.next.as_mut().and_then(|next| next.cancel(&self.options, now));
        self.actions.extend(action);
    }

    /// Stops all generations and builds. No generation starts afterwards.
    pub(super) fn stop_all(&mut self, now: Instant) {
        self.stopping = true;
        self.cancel_next(now);
        for index in 0..self.generations.len() {
            if !self.generations[index].is_stopping() {
                self.stop(index, now);
            }
        }
    }

    /// Kills all generations and builds. No generation starts afterwards.
    pub(super) fn kill_all(&mut self, now: Instant) {
        self.stopping = true;
        self.next.take_if(|next| next.state == BuildState::Built);
        self.kill_builds();
        for index in 0..self.generations.len() {
            if !matches!(self.generations[index].state, RunState::Killed { .. }) {
                self.actions.push(self.generations[index].kill(Duration::ZERO, now));
            }
        }
    }

    fn kill_builds(&mut self) {
        let action = self.next.as_mut().and_then(NextGeneration::kill);
        self.actions.extend(action);
    }

    pub(super) fn apply_deadlines(&mut self, now: Instant) {
        if self.build_state().and_then(BuildState::kill_at).is_some_and(|at| at <= now) {
            self.kill_builds();
        }
        for index in (0..self.generations.len()).rev() {
            self.generations[index].give_up_refused(self.stopping, now);
            if self.generations[index].deadline().is_some_and(|deadline| deadline <= now) {
                self.apply_deadline(index, now);
            }
        }
    }

    fn apply_deadline(&mut self, index: usize, now: Instant) {
        let generation = self.generations[index].id;
        match self.generations[index].state {
            RunState::Ready => {}
            RunState::Starting { .. } => {
                self.generations[index].state = RunState::Starting { ready_deadline: None };
                self.push(Action::DiagnoseReadiness { generation });
            }
            RunState::Draining { .. } => self.stop(index, now),
            RunState::Stopping { rest_at: Some(_), .. } => {
                let action = self.generations[index].stop_rest(SignalTarget::Rest, &self.options);
                self.actions.extend(action);
            }
            RunState::Stopping { since, .. } => {
                self.actions.push(self.generations[index].kill(now.saturating_duration_since(since), now));
            }
            RunState::Killed { .. } => {
                self.push(Action::Abandon { generation });
                self.tree_gone(generation);
            }
        }
    }

    /// Stops the generation that starts, and ends the one that serves if `retires` is set.
    fn end_older(&mut self, retires: bool, now: Instant) {
        for index in 0..self.generations.len() {
            match self.generations[index].state {
                RunState::Starting { .. } => self.stop(index, now),
                RunState::Ready if retires => self.retire(index, now),
                _ => {}
            }
        }
    }

    /// Ends a generation that served. If the proxy drains, the requests in flight finish first.
    fn retire(&mut self, index: usize, now: Instant) {
        let Some(timeout) = self.options.drain_timeout else { return self.stop(index, now) };
        self.generations[index].state = RunState::Draining { until: now + timeout };
        self.emit_phase(self.generations[index].id, Phase::Draining);
    }

    fn stop(&mut self, index: usize, now: Instant) {
        self.actions.push(self.generations[index].stop(&self.options, now));
        if !self.generations[index].end_reported {
            self.emit_phase(self.generations[index].id, Phase::Stopping);
        }
    }

    /// Reports an end that nothing asked for, and stops the rest of the tree.
    fn report_end(&mut self, index: usize, phase: Phase, now: Instant) {
        self.generations[index].end_reported = true;
        self.emit_phase(self.generations[index].id, phase);
        self.stop(index, now);
    }

    fn index(&self, generation: GenerationId) -> Option<usize> {
        self.generations.iter().position(|known| known.id == generation)
    }

    pub(super) fn emit(&mut self, event: Event) {
        self.push(Action::Emit(event));
    }

    pub(super) fn emit_phase(&mut self, generation: GenerationId, phase: Phase) {
        self.emit(Event::Phase { generation, phase });
    }

    #[cfg(test)]
    pub(super) fn is_stopping(&self, generation: GenerationId) -> bool {
        self.index(generation).is_some_and(|index| self.generations[index].is_stopping())
    }
}
