//! The state machine of the supervisor: [`Machine::step`]. Pure.

use std::time::Instant;

use super::action::{Action, Input};
use super::backoff::Backoff;
use super::generation::UnexpectedEnd;
use super::lifecycle::Lifecycle;
use super::pending::PendingRestart;
use super::restart_loop::RestartLoops;
use super::stop_policy::StopPolicy;
use crate::GenerationId;
use crate::change::Batch;
use crate::supervise::command::Stdin;
use crate::supervise::event::{Event, SupervisorExit};
use crate::supervise::options::{OnBusy, OnExit, Options, Port};
use crate::supervise::phase::{ProcessExit, werkzeug_wants_restart};
use crate::supervise::signal::Signal;
use crate::supervise::sockets::PassSocket;

/// Decides when generations start and end. Its parts decide how.
///
/// Invariant: a change is never forgotten. A generation that began before the change is followed by one that
/// began after it.
#[derive(Debug)]
pub(crate) struct Machine {
    policy: Policy,
    lifecycle: Lifecycle,
    pending: PendingRestart,
    paused: bool,
    backoff: Backoff,
    loops: RestartLoops,
    /// The supervisor stops, for this reason.
    exit: Option<SupervisorExit>,
    finished: bool,
}

/// The options that decide what an event leads to.
#[derive(Debug)]
struct Policy {
    on_busy: OnBusy,
    on_exit: OnExit,
    stop: StopPolicy,
    postpone: bool,
    /// The child owns the terminal, so Ctrl-C ends the child.
    child_owns_terminal: bool,
    /// The child is werkzeug with an inherited socket.
    is_werkzeug: bool,
}

impl Machine {
    pub(crate) fn new(options: &Options) -> Self {
        let inherits_socket = options.port == Port::Inherited || !options.listen.is_empty();
        let policy = Policy {
            on_busy: options.on_busy,
            on_exit: options.on_exit,
            stop: StopPolicy::new(options),
            postpone: options.postpone,
            child_owns_terminal: options.command.stdin == Stdin::Inherit,
            is_werkzeug: options.pass_socket == PassSocket::Werkzeug && inherits_socket,
        };
        Self {
            policy,
            lifecycle: Lifecycle::new(options),
            pending: PendingRestart::default(),
            paused: false,
            backoff: Backoff::new(),
            loops: RestartLoops::new(options),
            exit: None,
            finished: false,
        }
    }

    /// Time at which [`Input::TimePassed`] is due, if no other input comes before.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let own = self.backoff.deadline().into_iter().chain(self.pending.deadline());
        own.chain(self.lifecycle.deadline()).min()
    }

    /// Decides what follows from an input. `now` must not run backwards from call to call.
    #[must_use]
    pub(crate) fn step(&mut self, input: Input, now: Instant) -> Vec<Action> {
        if self.finished {
            return Vec::new();
        }
        self.apply(input, now);
        self.lifecycle.apply_deadlines(now);
        self.begin_if_due(now);
        self.lifecycle.start_next(now);
        if let Some(exit) = self.exit
            && self.lifecycle.is_empty()
        {
            self.finished = true;
            self.lifecycle.push(Action::Finish(exit));
        }
        let actions = self.lifecycle.take_actions();
        self.loops.observe(&actions, now);
        actions
    }

    fn apply(&mut self, input: Input, now: Instant) {
        let lifecycle = &mut self.lifecycle;
        match input {
            Input::Begin if self.policy.postpone => {}
            Input::Begin | Input::Restart => self.request_restart(),
            Input::Changed(batch) => self.changed(batch, now),
            Input::Drained(generation) => lifecycle.drained(generation, now),
            Input::Pause => self.paused = true,
            Input::Resume => self.paused = false,
            Input::SendSignal(signal) => self.send_signal(signal),
            Input::Stop => self.stop(SupervisorExit::Asked, now),
            Input::Kill => self.kill(now),
            Input::Built { generation, failure } => {
                self.loops.build_ended(now);
                lifecycle.built(generation, failure, now);
            }
            Input::Spawned { generation, pid } => lifecycle.spawned(generation, pid),
            Input::SpawnFailed { generation, report } => {
                let end = lifecycle.spawn_failed(generation, report);
                self.spawn_failed(generation, end, now);
            }
            Input::Ready { generation, address } => lifecycle.ready(generation, address, now),
            Input::ListensElsewhere { generation, address } => {
                lifecycle.listens_elsewhere(generation, address, now);
            }
            Input::NotReady { generation, condition, output } => {
                let end = lifecycle.not_ready(generation, condition, output, now);
                self.ended_unexpectedly(end, now);
            }
            Input::PortConflict { generation, holder, address } => {
                if lifecycle.port_conflict(generation, holder, address) {
                    self.request_restart();
                }
            }
            Input::LeaderExited { generation, report } => {
                let end = lifecycle.leader_exited(generation, report, now);
                self.ended_unexpectedly(end, now);
            }
            Input::TreeGone { generation } => lifecycle.tree_gone(generation),
            Input::TimePassed => {}
        }
    }

    fn request_restart(&mut self) {
        if self.exit.is_none() {
            self.pending.request();
        }
    }

    fn changed(&mut self, batch: Batch, now: Instant) {
        if self.exit.is_some() {
            return;
        }
        let decision = self.loops.decide(&batch);
        for event in decision.events {
            self.lifecycle.push(Action::Emit(event));
        }
        if !batch.changes.is_empty() {
            self.pending.add(batch, decision.delay.map(|delay| now + delay));
        }
    }

    fn send_signal(&mut self, signal: Signal) {
        if let Some(generation) = self.lifecycle.active() {
            self.lifecycle.push(Action::SignalGroup { generation, signal });
        }
    }

    fn stop(&mut self, exit: SupervisorExit, now: Instant) {
        self.prepare_exit(exit);
        self.lifecycle.stop_all(now);
    }

    fn kill(&mut self, now: Instant) {
        self.prepare_exit(SupervisorExit::Asked);
        self.lifecycle.kill_all(now);
    }

    fn prepare_exit(&mut self, exit: SupervisorExit) {
        self.exit.get_or_insert(exit);
        self.pending = PendingRestart::default();
        self.backoff.cancel();
    }

    /// Begins the next generation if a restart is pending and nothing is in its way.
    fn begin_if_due(&mut self, now: Instant) {
        if self.backoff.is_due(now) {
            self.pending.request();
        }
        self.pending.end_delay(now);
        let waits = (self.paused || self.pending.is_delayed()) && !self.pending.is_requested();
        if self.exit.is_some() || self.pending.is_empty() || waits {
            return;
        }
        if !self.pending.is_requested() {
            if self.pending.last_change().is_some_and(|change| self.lifecycle.includes(change)) {
                self.pending = PendingRestart::default();
                return;
            }
            if self.is_busy_with_other_policy() {
                return;
            }
        }
        self.backoff.cancel();
        let batch = self.pending.take();
        self.lifecycle.begin(batch, now);
    }

    /// Applies [`OnBusy`] if a generation is active. Returns whether that replaces the restart.
    fn is_busy_with_other_policy(&mut self) -> bool {
        let Some(generation) = self.lifecycle.active().filter(|_| !self.lifecycle.has_next()) else {
            return false;
        };
        match self.policy.on_busy {
            OnBusy::Restart => return false,
            OnBusy::Queue => {}
            OnBusy::Ignore => self.pending = PendingRestart::default(),
            OnBusy::Signal => {
                self.pending = PendingRestart::default();
                self.lifecycle.push(self.policy.stop.notify(generation));
            }
        }
        true
    }

    /// Ends the supervisor if the very first process cannot be started.
    fn spawn_failed(&mut self, generation: GenerationId, end: Option<UnexpectedEnd>, now: Instant) {
        match end {
            Some(UnexpectedEnd { exit: ProcessExit::NotStarted(status), .. })
                if generation == GenerationId::FIRST =>
            {
                self.stop(SupervisorExit::NotStarted(status), now);
            }
            end => self.ended_unexpectedly(end, now),
        }
    }

    /// Decides what follows the end of a generation that nothing asked for.
    fn ended_unexpectedly(&mut self, end: Option<UnexpectedEnd>, now: Instant) {
        let Some(UnexpectedEnd { exit, ran }) = end else { return };
        if self.exit.is_some() {
            return;
        }
        if self.policy.child_owns_terminal && is_from_terminal(exit) {
            return self.stop(SupervisorExit::Child(exit), now);
        }
        let is_replaced = self.lifecycle.has_next() || self.lifecycle.active().is_some();
        if is_replaced || !self.pending.is_empty() && !self.paused {
            return;
        }
        if self.policy.is_werkzeug && werkzeug_wants_restart(exit) {
            return self.pending.request();
        }
        let backoff = match self.policy.on_exit {
            OnExit::Quit => return self.stop(SupervisorExit::Child(exit), now),
            OnExit::Wait => None,
            OnExit::Restart => Some(self.backoff.schedule(ran, now)),
        };
        self.lifecycle.push(Action::Emit(Event::Waiting { backoff }));
    }
}

/// Whether the terminal ended the process: by Ctrl-C, by Ctrl-\, or because the terminal closed. A shell that
/// runs the process exits with 128 plus the number of SIGINT instead.
fn is_from_terminal(exit: ProcessExit) -> bool {
    match exit {
        ProcessExit::Signal(signal) => [Signal::INT, Signal::QUIT, Signal::HUP].contains(&signal),
        ProcessExit::Status(status) => status == 128 + Signal::INT.number(),
        _ => false,
    }
}

#[cfg(test)]
impl Machine {
    pub(super) fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }
}
