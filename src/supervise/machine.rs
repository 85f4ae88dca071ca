//! Pure: inputs and time in, actions out.
//!
//! Owns every decision about generations: when one is built, started, ready, drained, stopped, killed and given up.
//! Knows no process, no clock, no socket and no runtime, so that each of its promises can be tested by replaying inputs.
//!
//! What always holds, whatever comes in:
//! - at most one generation is starting; without overlap no process of another one lives at that time;
//! - a change is never forgotten: what began before it is followed by something that began after it;
//! - a stop ends: the stop signal, then the kill, then, for what not even that ends, giving up.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::change::Batch;

use super::backoff::Backoff;
use super::decision::{Action, Input};
use super::event::{Event, Exit};
use super::evidence::Evidence;
use super::generation::{Due, Generation, Next, Progress, Stage, join};
use super::loops::Loops;
use super::options::{OnBusy, OnExit, OnLoop, Options};
use super::phase::{Ended, ExitReport, Phase};
use super::policy::{Settings, by_terminal};
use super::signal::Signal;

/// How long a killed process may take to disappear: longer means that it hangs in the kernel.
const GIVE_UP: Duration = Duration::from_secs(5);
/// How many generations may live at once, the draining ones included, before a new one waits for the oldest.
const LIVING_AT_MOST: usize = 8;

/// The state of all generations.
#[derive(Debug)]
pub(super) struct Machine {
    settings: Settings,
    generations: Vec<Generation>,
    next: Option<Next>,
    due: Due,
    /// The number of the last generation that was started.
    started: u64,
    /// Everything up to here is in what was last begun.
    basis: Option<Instant>,
    paused: bool,
    backoff: Backoff,
    ending: Option<Exit>,
    ended: bool,
    loops: Loops,
    actions: Vec<Action>,
}

impl Machine {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            settings: Settings::new(options),
            generations: Vec::new(),
            next: None,
            due: Due::default(),
            started: 0,
            basis: None,
            paused: false,
            backoff: Backoff::new(),
            ending: None,
            ended: false,
            loops: Loops::new(options.on_loop == OnLoop::Warn),
            actions: Vec::new(),
        }
    }

    /// When [`Input::Time`] is due, if nothing else comes before.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let cancel = match self.next.as_ref().map(|next| next.progress) {
            Some(Progress::Cancelling { kill_at, killed: false }) => Some(kill_at),
            _ => None,
        };
        let generations = self.generations.iter().filter_map(Generation::deadline);
        generations.chain(cancel).chain(self.backoff.at()).chain(self.due.until()).min()
    }

    /// Decides. The time must not run backwards from call to call.
    #[must_use]
    pub(super) fn step(&mut self, input: Input, now: Instant) -> Vec<Action> {
        if !self.ended {
            self.take(input, now);
            self.expire(now);
            self.consider(now);
            self.proceed(now);
            self.finish();
        }
        std::mem::take(&mut self.actions)
    }

    fn take(&mut self, input: Input, now: Instant) {
        match input {
            Input::Begin if self.settings.postpone => {}
            Input::Begin | Input::Restart => self.due.asked |= self.ending.is_none(),
            Input::Changed(batch, evidence) => self.changed(batch, &evidence, now),
            Input::Drained(number) => self.drained(number, now),
            Input::Pause => self.paused = true,
            Input::Resume => self.paused = false,
            Input::Deliver(signal) => self.deliver(signal),
            Input::Stop => self.stop(Exit::Asked, now),
            Input::Kill => self.kill(now),
            Input::Built { generation, failure } => self.built(generation, failure, now),
            Input::Spawned { generation, pid } => self.tell(generation, Phase::Starting { pid }),
            Input::NotSpawned { generation, report } => self.not_spawned(generation, report, now),
            Input::Ready { generation, address } => self.ready(generation, address, now),
            Input::Elsewhere { generation, address } => self.elsewhere(generation, address, now),
            Input::InTheWay { generation, holder, address } => self.in_the_way(generation, holder, address),
            Input::Exited { generation, report } => self.exited(generation, report, now),
            Input::Gone { generation } => self.gone(generation),
            Input::Time => {}
        }
    }

    fn changed(&mut self, mut batch: Batch, evidence: &Evidence, now: Instant) {
        if self.ending.is_some() {
            return;
        }
        let judgement = self.loops.judge(&mut batch, evidence, now);
        self.actions.extend(judgement.told.into_iter().map(Action::Tell));
        if !batch.changes.is_empty() {
            self.due.add(batch, judgement.wait.map(|wait| now + wait));
        }
    }

    /// The paths whose next writer is of interest, because they have changed right after a start.
    pub(super) fn suspects(&self) -> impl Iterator<Item = &Path> {
        self.loops.suspects()
    }

    /// Acts on what is due, if it may.
    fn consider(&mut self, now: Instant) {
        if self.backoff.is_over(now) {
            self.due.asked = true;
        }
        self.due.let_go(now);
        if self.ending.is_some()
            || self.due.is_empty()
            || (self.paused || self.due.waits()) && !self.due.asked
        {
            return;
        }
        if !self.due.asked && self.up_to_date() {
            self.due = Due::default();
            return;
        }
        let busy = self.generations.iter().rev().find(|one| one.active()).map(|one| one.number);
        match (busy, self.settings.on_busy) {
            (Some(_), OnBusy::Queue) if !self.due.asked && self.next.is_none() => return,
            (Some(_), OnBusy::Ignore) if !self.due.asked && self.next.is_none() => {
                self.due = Due::default();
                return;
            }
            (Some(generation), OnBusy::Signal) if !self.due.asked && self.next.is_none() => {
                self.due = Due::default();
                let signal = self.settings.stop_signal;
                self.actions.push(Action::Deliver { generation, signal });
                return;
            }
            _ => {}
        }
        self.begin(now);
    }

    /// Whether what was last begun includes everything that is due.
    fn up_to_date(&self) -> bool {
        match (&self.due.batch, self.basis) {
            (Some(batch), Some(basis)) => batch.last < basis,
            _ => false,
        }
    }

    /// Makes what is due the next generation, or adds it to the one that waits: the newest wins.
    fn begin(&mut self, now: Instant) {
        let due = std::mem::take(&mut self.due);
        self.backoff.cancel();
        let (because, progress) = match self.next.take() {
            Some(next) => (join(next.because, due.batch), Some(next.progress)),
            None => (due.batch.map(Arc::new), None),
        };
        let generation = self.started + 1;
        if self.started > 0 || because.is_some() || progress.is_some() {
            self.actions.push(Action::Tell(Event::Restarting { generation, because: because.clone() }));
        }
        let progress = match progress {
            Some(Progress::Building) => {
                self.actions.push(Action::CancelBuild { kill: false });
                Progress::Cancelling { kill_at: now + self.settings.stop_timeout, killed: false }
            }
            Some(cancelling @ Progress::Cancelling { .. }) => cancelling,
            _ if self.settings.prepares => Progress::Building,
            _ => Progress::Waiting,
        };
        self.next = Some(Next { number: generation, because: because.clone(), basis: now, progress });
        self.basis = Some(now);
        if progress == Progress::Building {
            self.build(generation, because, now);
        }
    }

    fn build(&mut self, generation: u64, because: Option<Arc<Batch>>, now: Instant) {
        self.actions.push(Action::Build { generation, because });
        if self.settings.builds {
            self.tell(generation, Phase::Building);
            self.loops.building(now);
        }
    }

    fn built(&mut self, generation: u64, failure: Option<ExitReport>, now: Instant) {
        let Some(mut next) = self.next.take_if(|next| next.number == generation) else {
            return;
        };
        if self.settings.builds {
            self.loops.built(now);
        }
        match (next.progress, failure) {
            _ if self.ending.is_some() => return,
            (Progress::Cancelling { .. }, _) => {
                next.progress = Progress::Building;
                next.basis = now;
                self.basis = Some(now);
                self.build(generation, next.because.clone(), now);
            }
            (_, Some(report)) => {
                self.tell(generation, Phase::BuildFailed(report));
                self.idle_after_failure(now);
                return;
            }
            (_, None) => next.progress = Progress::Waiting,
        }
        self.next = Some(next);
    }

    /// A build failed: if nothing serves meanwhile, the next change is what is waited for.
    fn idle_after_failure(&mut self, _now: Instant) {
        if !self.generations.iter().any(Generation::active) {
            self.actions.push(Action::Tell(Event::Waiting { backoff: None }));
        }
    }

    /// Makes room for the generation that waits, and starts it when there is.
    fn proceed(&mut self, now: Instant) {
        if self.ending.is_some() || self.next.as_ref().is_none_or(|next| next.progress != Progress::Waiting) {
            return;
        }
        for at in 0..self.generations.len() {
            match self.generations[at].stage {
                Stage::Starting { .. } => self.begin_stop(at, now),
                Stage::Ready if !self.settings.overlap => self.retire(at, now),
                _ => {}
            }
        }
        let free = match self.settings.overlap {
            true => self.generations.iter().all(|one| one.served) && self.generations.len() < LIVING_AT_MOST,
            false => self.generations.is_empty(),
        };
        if let Some(next) = free.then(|| self.next.take()).flatten() {
            self.spawn(next, now);
        }
    }

    fn spawn(&mut self, next: Next, now: Instant) {
        self.started = next.number;
        if !self.settings.builds {
            self.basis = Some(now);
        }
        self.loops.started(now, self.settings.builds);
        self.generations.push(Generation {
            number: next.number,
            stage: Stage::Starting { failed_at: now + self.settings.ready_timeout },
            began: now,
            served: false,
            told: false,
        });
        self.actions.push(Action::Spawn { generation: next.number, because: next.because });
    }

    fn not_spawned(&mut self, number: u64, report: ExitReport, now: Instant) {
        let Some(at) = self.find(number) else { return };
        self.generations.remove(at);
        let ended = report.ended;
        self.tell(number, Phase::Failed(report));
        match ended {
            Ended::NotStarted(status) if number == 1 && self.ending.is_none() => {
                self.ending = Some(Exit::NotStarted(status));
            }
            _ => self.after_end(ended, Duration::ZERO, now),
        }
    }

    fn ready(&mut self, number: u64, address: Option<SocketAddr>, now: Instant) {
        let Some(at) = self.find(number) else { return };
        if !matches!(self.generations[at].stage, Stage::Starting { .. }) {
            return;
        }
        self.generations[at].stage = Stage::Ready;
        self.generations[at].served = true;
        self.tell(number, Phase::Ready { address });
        for older in 0..at {
            if self.generations[older].stage == Stage::Ready {
                self.retire(older, now);
            }
        }
    }

    fn elsewhere(&mut self, generation: u64, address: SocketAddr, now: Instant) {
        if self.settings.overlap {
            self.settings.overlap = false;
            self.actions.push(Action::Tell(Event::ListensElsewhere { generation, address }));
        }
        self.ready(generation, Some(address), now);
    }

    /// The server has a port that only one generation can have: this one is tried again once the old one has gone.
    fn in_the_way(&mut self, number: u64, holder: u64, address: SocketAddr) {
        let starting = |one: &Generation| matches!(one.stage, Stage::Starting { .. });
        if self.settings.overlap
            && self.ending.is_none()
            && self.find(number).is_some_and(|at| starting(&self.generations[at]))
        {
            self.settings.overlap = false;
            self.actions.push(Action::Tell(Event::ListensElsewhere { generation: holder, address }));
            self.due.asked = true;
        }
    }

    /// Ends a generation that served: what is in flight first, if somebody looks after that.
    fn retire(&mut self, at: usize, now: Instant) {
        match self.settings.drain_timeout {
            Some(timeout) => {
                self.generations[at].stage = Stage::Draining { until: now + timeout };
                self.tell(self.generations[at].number, Phase::Draining);
            }
            None => self.begin_stop(at, now),
        }
    }

    fn drained(&mut self, number: u64, now: Instant) {
        if let Some(at) = self.find(number)
            && matches!(self.generations[at].stage, Stage::Draining { .. })
        {
            self.begin_stop(at, now);
        }
    }

    fn begin_stop(&mut self, at: usize, now: Instant) {
        let one = &mut self.generations[at];
        one.stage = Stage::Stopping { since: now, kill_at: now + self.settings.stop_timeout };
        let (generation, told) = (one.number, one.told);
        self.actions.push(Action::Signal { generation, signal: self.settings.stop_signal });
        if !told {
            self.tell(generation, Phase::Stopping);
        }
    }

    fn begin_kill(&mut self, at: usize, waited: Duration, now: Instant) {
        let one = &mut self.generations[at];
        one.stage = Stage::Killed { give_up_at: now + GIVE_UP };
        self.actions.push(Action::Kill { generation: one.number, waited });
    }

    fn exited(&mut self, number: u64, report: ExitReport, now: Instant) {
        let Some(at) = self.find(number) else { return };
        let (ended, ran) = (report.ended, now.saturating_duration_since(self.generations[at].began));
        match self.generations[at].stage {
            Stage::Starting { .. } => self.ended_by_itself(at, Phase::Failed(report), now),
            Stage::Ready => self.ended_by_itself(at, Phase::Exited(report), now),
            Stage::Draining { .. } => return self.begin_stop(at, now),
            Stage::Stopping { .. } | Stage::Killed { .. } => return,
        }
        self.after_end(ended, ran, now);
    }

    /// Tells an end that nobody asked for, and stops what it left behind.
    fn ended_by_itself(&mut self, at: usize, phase: Phase, now: Instant) {
        self.generations[at].told = true;
        self.tell(self.generations[at].number, phase);
        self.begin_stop(at, now);
    }

    /// What follows an end that nobody asked for.
    fn after_end(&mut self, ended: Ended, ran: Duration, now: Instant) {
        let replaced = self.next.is_some() || self.generations.iter().any(Generation::active);
        if self.ending.is_some() {
            return;
        }
        if self.settings.own_terminal && by_terminal(ended) {
            return self.stop(Exit::Child(ended), now);
        }
        if replaced || !self.due.is_empty() && !self.paused {
            return;
        }
        if self.settings.werkzeug && ended == Ended::Status(3) {
            self.due.asked = true;
            return;
        }
        match self.settings.on_exit {
            OnExit::Wait => self.actions.push(Action::Tell(Event::Waiting { backoff: None })),
            OnExit::Quit => self.stop(Exit::Child(ended), now),
            OnExit::Restart => {
                let backoff = Some(self.backoff.begin(ran, now));
                self.actions.push(Action::Tell(Event::Waiting { backoff }));
            }
        }
    }

    fn gone(&mut self, number: u64) {
        let Some(at) = self.find(number) else { return };
        let one = self.generations.remove(at);
        if !one.told {
            self.tell(number, Phase::Stopped);
        }
    }

    fn deliver(&mut self, signal: Signal) {
        if let Some(one) = self.generations.iter().rev().find(|one| one.active()) {
            self.actions.push(Action::Deliver { generation: one.number, signal });
        }
    }

    fn stop(&mut self, exit: Exit, now: Instant) {
        self.ending.get_or_insert(exit);
        self.due = Due::default();
        self.backoff.cancel();
        self.cancel_next(false, now);
        for at in 0..self.generations.len() {
            match self.generations[at].stage {
                Stage::Stopping { .. } | Stage::Killed { .. } => {}
                _ => self.begin_stop(at, now),
            }
        }
    }

    fn kill(&mut self, now: Instant) {
        self.ending.get_or_insert(Exit::Asked);
        self.due = Due::default();
        self.backoff.cancel();
        self.cancel_next(true, now);
        for at in 0..self.generations.len() {
            match self.generations[at].stage {
                Stage::Killed { .. } => {}
                _ => self.begin_kill(at, Duration::ZERO, now),
            }
        }
    }

    /// Ends the builds that run, and forgets a generation that only waits.
    fn cancel_next(&mut self, kill: bool, now: Instant) {
        let Some(next) = &mut self.next else { return };
        match next.progress {
            Progress::Waiting => self.next = None,
            Progress::Cancelling { killed, .. } if killed || !kill => {}
            _ => {
                let kill_at = now + self.settings.stop_timeout;
                next.progress = Progress::Cancelling { kill_at, killed: kill };
                self.actions.push(Action::CancelBuild { kill });
            }
        }
    }

    /// Acts on every deadline that has passed.
    fn expire(&mut self, now: Instant) {
        if let Some(next) = &mut self.next
            && let Progress::Cancelling { kill_at, killed: false } = next.progress
            && kill_at <= now
        {
            next.progress = Progress::Cancelling { kill_at, killed: true };
            self.actions.push(Action::CancelBuild { kill: true });
        }
        for at in (0..self.generations.len()).rev() {
            if self.generations[at].deadline().is_some_and(|deadline| deadline <= now) {
                self.expire_one(at, now);
            }
        }
    }

    fn expire_one(&mut self, at: usize, now: Instant) {
        match self.generations[at].stage {
            Stage::Ready => {}
            Stage::Starting { .. } => self.never_ready(at, now),
            Stage::Draining { .. } => self.begin_stop(at, now),
            Stage::Stopping { since, .. } => {
                self.begin_kill(at, now.saturating_duration_since(since), now);
            }
            Stage::Killed { .. } => {
                let generation = self.generations[at].number;
                self.actions.push(Action::Abandon { generation });
                self.gone(generation);
            }
        }
    }

    fn never_ready(&mut self, at: usize, now: Instant) {
        let ran = now.saturating_duration_since(self.generations[at].began);
        let report = ExitReport { ended: Ended::NotReady, ran, message: None, output: Vec::new() };
        self.ended_by_itself(at, Phase::Failed(report), now);
        self.after_end(Ended::NotReady, ran, now);
    }

    fn finish(&mut self) {
        if let Some(exit) = self.ending
            && self.generations.is_empty()
            && self.next.is_none()
        {
            self.ended = true;
            self.actions.push(Action::End(exit));
        }
    }

    fn find(&self, number: u64) -> Option<usize> {
        self.generations.iter().position(|one| one.number == number)
    }

    fn tell(&mut self, generation: u64, phase: Phase) {
        self.actions.push(Action::Tell(Event::Phase { generation, phase }));
    }
}

#[cfg(test)]
mod tests;
