//! Pure: the course of a generation, from what is due to what is gone: built, started, ready, drained, stopped, ended.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::change::Batch;

use super::decision::Action;
use super::event::{Event, SupervisorExit};
use super::generation::{Generation, Next, Progress, Stage, join};
use super::options::OnExit;
use super::phase::{ExitReport, Phase, ProcessExit};
use super::policy::by_terminal;
use super::state::Machine;

/// How long a killed process may take to disappear: longer means that it hangs in the kernel.
const GIVE_UP: Duration = Duration::from_secs(5);
/// How many generations may live at once, the draining ones included, before a new one waits for the oldest.
const LIVING_AT_MOST: usize = 8;

impl Machine {
    /// Makes what is due the next generation, or adds it to the one that waits: the newest wins.
    pub(super) fn begin(&mut self, now: Instant) {
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

    pub(super) fn build(&mut self, generation: u64, because: Option<Arc<Batch>>, now: Instant) {
        self.actions.push(Action::Build { generation, because });
        if self.settings.builds {
            self.tell(generation, Phase::Building);
            self.loops.build_started(now);
        }
    }

    pub(super) fn built(&mut self, generation: u64, failure: Option<ExitReport>, now: Instant) {
        let Some(mut next) = self.next.take_if(|next| next.number == generation) else {
            return;
        };
        if self.settings.builds {
            self.loops.build_ended(now);
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
    pub(super) fn idle_after_failure(&mut self, _now: Instant) {
        if !self.generations.iter().any(Generation::active) {
            self.actions.push(Action::Tell(Event::Waiting { backoff: None }));
        }
    }

    /// Makes room for the generation that waits, and starts it when there is.
    pub(super) fn proceed(&mut self, now: Instant) {
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

    pub(super) fn spawn(&mut self, next: Next, now: Instant) {
        self.started = next.number;
        if !self.settings.builds {
            self.basis = Some(now);
        }
        self.loops.generation_started(now, self.settings.builds);
        self.generations.push(Generation {
            number: next.number,
            stage: Stage::Starting { failed_at: now + self.settings.ready_timeout },
            began: now,
            served: false,
            told: false,
        });
        self.actions.push(Action::Spawn { generation: next.number, because: next.because });
    }

    pub(super) fn not_spawned(&mut self, number: u64, report: ExitReport, now: Instant) {
        let Some(at) = self.find(number) else { return };
        self.generations.remove(at);
        let ended = report.ended;
        self.tell(number, Phase::Failed(report));
        match ended {
            ProcessExit::NotStarted(status) if number == 1 && self.ending.is_none() => {
                self.ending = Some(SupervisorExit::NotStarted(status));
            }
            _ => self.after_end(ended, Duration::ZERO, now),
        }
    }

    pub(super) fn ready(&mut self, number: u64, address: Option<SocketAddr>, now: Instant) {
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

    pub(super) fn elsewhere(&mut self, generation: u64, address: SocketAddr, now: Instant) {
        if self.settings.overlap {
            self.settings.overlap = false;
            self.actions.push(Action::Tell(Event::ListensElsewhere { generation, address }));
        }
        self.ready(generation, Some(address), now);
    }

    /// The server has a port that only one generation can have: this one is tried again once the old one has gone.
    pub(super) fn in_the_way(&mut self, number: u64, holder: u64, address: SocketAddr) {
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
    pub(super) fn retire(&mut self, at: usize, now: Instant) {
        match self.settings.drain_timeout {
            Some(timeout) => {
                self.generations[at].stage = Stage::Draining { until: now + timeout };
                self.tell(self.generations[at].number, Phase::Draining);
            }
            None => self.begin_stop(at, now),
        }
    }

    pub(super) fn drained(&mut self, number: u64, now: Instant) {
        if let Some(at) = self.find(number)
            && matches!(self.generations[at].stage, Stage::Draining { .. })
        {
            self.begin_stop(at, now);
        }
    }

    pub(super) fn begin_stop(&mut self, at: usize, now: Instant) {
        let one = &mut self.generations[at];
        one.stage = Stage::Stopping { since: now, kill_at: now + self.settings.stop_timeout };
        let (generation, told) = (one.number, one.told);
        self.actions.push(Action::Signal { generation, signal: self.settings.stop_signal });
        if !told {
            self.tell(generation, Phase::Stopping);
        }
    }

    pub(super) fn begin_kill(&mut self, at: usize, waited: Duration, now: Instant) {
        let one = &mut self.generations[at];
        one.stage = Stage::Killed { give_up_at: now + GIVE_UP };
        self.actions.push(Action::Kill { generation: one.number, waited });
    }

    pub(super) fn exited(&mut self, number: u64, report: ExitReport, now: Instant) {
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
    pub(super) fn ended_by_itself(&mut self, at: usize, phase: Phase, now: Instant) {
        self.generations[at].told = true;
        self.tell(self.generations[at].number, phase);
        self.begin_stop(at, now);
    }

    /// What follows an end that nobody asked for.
    pub(super) fn after_end(&mut self, ended: ProcessExit, ran: Duration, now: Instant) {
        let replaced = self.next.is_some() || self.generations.iter().any(Generation::active);
        if self.ending.is_some() {
            return;
        }
        if self.settings.own_terminal && by_terminal(ended) {
            return self.stop(SupervisorExit::Child(ended), now);
        }
        if replaced || !self.due.is_empty() && !self.paused {
            return;
        }
        if self.settings.werkzeug && ended == ProcessExit::Status(3) {
            self.due.asked = true;
            return;
        }
        match self.settings.on_exit {
            OnExit::Wait => self.actions.push(Action::Tell(Event::Waiting { backoff: None })),
            OnExit::Quit => self.stop(SupervisorExit::Child(ended), now),
            OnExit::Restart => {
                let backoff = Some(self.backoff.begin(ran, now));
                self.actions.push(Action::Tell(Event::Waiting { backoff }));
            }
        }
    }

    pub(super) fn gone(&mut self, number: u64) {
        let Some(at) = self.find(number) else { return };
        let one = self.generations.remove(at);
        if !one.told {
            self.tell(number, Phase::Stopped);
        }
    }
}
