//! Pure: inputs and time in, actions out.
//!
//! Owns every decision about generations: when one is built, started, ready, drained, stopped, killed and given up.
//! Knows no process, no clock, no socket and no runtime, so that each of its promises can be tested by replaying inputs.
//!
//! What always holds, whatever comes in:
//! - at most one generation is starting; without overlap no process of another one lives at that time;
//! - a change is never forgotten: what began before it is followed by something that began after it;
//! - a stop ends: the stop signal, then the kill, then, for what not even that ends, giving up.

use std::time::{Duration, Instant};

use crate::change::Batch;

use super::decision::{Action, Input};
use super::event::SupervisorExit;
use super::generation::{Due, Progress, Stage};
use super::options::OnBusy;
use super::phase::{ExitReport, Phase, ProcessExit};
pub(super) use super::state::Machine;

impl Machine {
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
            Input::Changed(batch) => self.changed(batch, now),
            Input::Drained(number) => self.drained(number, now),
            Input::Pause => self.paused = true,
            Input::Resume => self.paused = false,
            Input::Deliver(signal) => self.deliver(signal),
            Input::Stop => self.stop(SupervisorExit::Asked, now),
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

    fn changed(&mut self, batch: Batch, now: Instant) {
        if self.ending.is_some() {
            return;
        }
        let decision = self.loops.decide(&batch);
        self.actions.extend(decision.events.into_iter().map(Action::Tell));
        if !batch.changes.is_empty() {
            self.due.add(batch, decision.delay.map(|delay| now + delay));
        }
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

    pub(super) fn stop(&mut self, exit: SupervisorExit, now: Instant) {
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
        self.ending.get_or_insert(SupervisorExit::Asked);
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
        let report = ExitReport {
            ended: ProcessExit::NotReady,
            ran,
            message: None,
            remedy: crate::Remedy::None,
            output: Vec::new(),
        };
        self.ended_by_itself(at, Phase::Failed(report), now);
        self.after_end(ProcessExit::NotReady, ran, now);
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
}

#[cfg(test)]
mod tests;
