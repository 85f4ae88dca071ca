//! The state machine of the supervisor: [`Machine::step`]. Pure.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::action::{Action, Input, SignalTarget};
use super::generation::UnexpectedEnd;
use super::lifecycle::Lifecycle;
use super::restart_loop::RestartLoops;
use super::waiters::{Situation, Waiters};
use crate::change::Batch;
use crate::supervise::command::Stdin;
use crate::supervise::event::{Event, Phase, ProcessExit, Request, SupervisorExit, werkzeug_wants_restart};
use crate::supervise::options::{OnBusy, OnExit, Options, Port, StopScope};
use crate::supervise::signal::Signal;
use crate::supervise::sockets::PassSocket;
use crate::{GenerationId, Remedy};

/// Delay before the first restart of a child that ended by itself. It doubles up to [`MAX_BACKOFF`].
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(10);
/// Run time of a child after which the delay starts again at [`FIRST_BACKOFF`].
const BACKOFF_RESET_TIME: Duration = Duration::from_secs(10);

/// Delay before a start is tried again because closed connections keep its port.
const LINGERING_PORT_DELAY: Duration = Duration::from_secs(1);

/// Decides when generations start and end. [`Lifecycle`] and [`RestartLoops`] decide how.
///
/// Invariant: a change is never forgotten. A generation that began before the change is followed by one that
/// began after it.
#[derive(Debug)]
pub(crate) struct Machine {
    options: Arc<Options>,
    lifecycle: Lifecycle,
    pending: PendingRestart,
    paused: bool,
    /// Nothing starts until the owner asks for it.
    halted: bool,
    /// [`Event::Halted`] was sent since the last [`Request::Halt`].
    halt_reported: bool,
    waiters: Waiters,
    /// When a child that ended by itself is started again.
    backoff_until: Option<Instant>,
    next_backoff: Duration,
    loops: RestartLoops,
    /// Why the start is tried again and again was reported since the last request or change.
    lingering_reported: bool,
    /// The supervisor stops, for this reason.
    exit: Option<SupervisorExit>,
    finished: bool,
}

/// Changes and requests that have not led to a new generation yet.
#[derive(Debug, Default)]
struct PendingRestart {
    batch: Option<Batch>,
    /// The restart was asked for, so it does not depend on changes.
    requested: bool,
    /// A suspected restart loop delays the restart until this time.
    delayed_until: Option<Instant>,
}

impl PendingRestart {
    /// Adds changes. They are delayed only if everything that is pending already is.
    fn add(&mut self, batch: Batch, until: Option<Instant>) {
        let can_wait = self.is_empty() || self.delayed_until.is_some();
        // An earlier delay is not prolonged.
        self.delayed_until = until.filter(|_| can_wait).map(|until| self.delayed_until.unwrap_or(until));
        match &mut self.batch {
            Some(known) => known.merge(batch),
            none => *none = Some(batch),
        }
    }

    fn is_empty(&self) -> bool {
        !self.requested && self.batch.as_ref().is_none_or(|batch| batch.changes.is_empty())
    }
}

impl Machine {
    pub(crate) fn new(options: Arc<Options>) -> Self {
        Self {
            lifecycle: Lifecycle::new(Arc::clone(&options)),
            pending: PendingRestart::default(),
            paused: false,
            halted: false,
            halt_reported: false,
            waiters: Waiters::default(),
            backoff_until: None,
            next_backoff: FIRST_BACKOFF,
            loops: RestartLoops::new(&options),
            lingering_reported: false,
            options,
            exit: None,
            finished: false,
        }
    }

    /// Time at which [`Input::TimePassed`] is due, if no other input comes before.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let deadlines = [self.backoff_until, self.pending.delayed_until, self.lifecycle.deadline()];
        deadlines.into_iter().flatten().min()
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
        let mut actions = self.lifecycle.take_actions();
        self.loops.observe(&actions, now);
        self.waiters.observe(&actions);
        let answers = self.waiters.answer(self.situation());
        actions.extend(answers.into_iter().map(Action::Emit));
        if self.lifecycle.is_empty() {
            actions.extend(self.at_rest());
        }
        actions
    }

    /// What follows when nothing runs.
    fn at_rest(&mut self) -> Option<Action> {
        if let Some(exit) = self.exit {
            self.finished = true;
            return Some(Action::Finish(exit));
        }
        let is_new = self.halted && !std::mem::replace(&mut self.halt_reported, self.halted);
        is_new.then_some(Action::Emit(Event::Halted))
    }

    fn situation(&self) -> Situation {
        let starts_anyway = self.pending.requested || self.backoff_until.is_some();
        match () {
            () if self.exit.is_some() => Situation::Stopping,
            () if self.halted => Situation::Halted,
            () if starts_anyway => Situation::Due,
            () if !self.pending.is_empty() && self.paused => Situation::Paused,
            () if !self.pending.is_empty() => Situation::Due,
            () => Situation::Idle,
        }
    }

    fn apply(&mut self, input: Input, now: Instant) {
        let lifecycle = &mut self.lifecycle;
        match input {
            Input::Begin if self.options.postpone => {}
            Input::Begin => self.pending.requested = true,
            Input::Request(request) => self.apply_request(request, now),
            Input::Built { generation, failure } => {
                self.loops.build_ended(now);
                lifecycle.built(generation, failure, now);
            }
            Input::Spawned { generation, pid } => lifecycle.emit_phase(generation, Phase::Starting { pid }),
            Input::SpawnFailed { generation, report } => {
                let end = lifecycle.spawn_failed(generation, report);
                self.ended_unexpectedly(generation, end, now);
            }
            Input::Ready { generation, address } => lifecycle.ready(generation, address, now),
            Input::ListensElsewhere { generation, address, endpoint } => {
                lifecycle.listens_elsewhere(generation, address, endpoint, now);
            }
            Input::NotReady { generation, message, remedy, output } => {
                let end = lifecycle.not_ready(generation, message, remedy, output, now);
                self.ended_unexpectedly(generation, end, now);
            }
            Input::Conflict { generation, holder, address, words } => {
                self.pending.requested |= lifecycle.take_turns(generation, holder, address, words);
            }
            Input::PortLingers { generation, port } => self.port_lingers(generation, port, now),
            Input::LeaderExited { generation, report } => {
                let end = lifecycle.leader_exited(generation, report, now);
                self.ended_unexpectedly(generation, end, now);
            }
            Input::SignalRefused { generation, pid, user, command } => {
                let message = format!("process {pid} runs as {user} and cannot be stopped: {command}");
                let remedy = format!("end it with `sudo kill {pid}`; a restart waits for its end");
                let remedy = Remedy::Text(remedy.into());
                lifecycle.signal_refused(generation, Event::Warning { message, remedy });
            }
            Input::TreeGone { generation } => lifecycle.tree_gone(generation),
            Input::TimePassed => {}
        }
    }

    fn apply_request(&mut self, request: Request, now: Instant) {
        match request {
            Request::Changed(batch) => self.changed(batch, now),
            Request::Restart => self.request_start(),
            Request::Start => {
                if self.halted || self.lifecycle.active().is_none() && !self.lifecycle.has_next() {
                    self.request_start();
                }
            }
            Request::Halt => self.halt(now),
            Request::Settle(id) => self.waiters.add(id),
            Request::Forget(id) => self.waiters.remove(id),
            Request::Drained(generation) => self.lifecycle.drained(generation, now),
            Request::Pause => self.set_paused(true),
            Request::Resume => self.set_paused(false),
            Request::Signal(signal) => {
                if let Some(generation) = self.lifecycle.active() {
                    let target = SignalTarget::Group;
                    self.lifecycle.push(Action::Signal { generation, target, signal });
                }
            }
            Request::Stop => self.stop(SupervisorExit::Asked, now),
            Request::Kill => {
                self.prepare_exit(SupervisorExit::Asked);
                self.lifecycle.kill_all(now);
            }
            Request::Suspend | Request::Resized | Request::Continue | Request::Input { .. } => {}
        }
    }

    fn request_start(&mut self) {
        self.lingering_reported = false;
        self.pending.requested |= self.exit.is_none();
        self.halted = false;
    }

    fn set_paused(&mut self, paused: bool) {
        if std::mem::replace(&mut self.paused, paused) != paused {
            self.lifecycle.emit(if paused { Event::Paused } else { Event::Resumed });
        }
    }

    /// Stops what runs. Changes of a generation that was not started yet are pending again.
    fn halt(&mut self, now: Instant) {
        if self.exit.is_some() || std::mem::replace(&mut self.halted, true) {
            return;
        }
        (self.halt_reported, self.backoff_until) = (false, None);
        self.lifecycle.emit(Event::Halting);
        if let Some(mut batch) = self.lifecycle.halt(now) {
            self.pending.batch.take().into_iter().for_each(|later| batch.merge(later));
            self.pending.batch = Some(batch);
        }
    }

    /// Starts a generation again after a second, because its port will be free some time.
    fn port_lingers(&mut self, generation: GenerationId, port: u16, now: Instant) {
        let retries = self.options.on_exit != OnExit::Quit && !self.lifecycle.has_next();
        if self.exit.is_some() || !retries || !self.lifecycle.stop_young(generation, BACKOFF_RESET_TIME, now)
        {
            return;
        }
        self.backoff_until = Some(now + LINGERING_PORT_DELAY);
        if !std::mem::replace(&mut self.lingering_reported, true) {
            let message = format!(
                "port {port} is not free yet, because closed connections of an earlier server keep it \
                 (TIME_WAIT): devrun tries again every second"
            );
            let remedy = "to avoid that, set SO_REUSEADDR in the server, as `allow_reuse_address = True` does in \
                          Python's socketserver";
            self.lifecycle.emit(Event::Warning { message, remedy: Remedy::Text(remedy.into()) });
        }
    }

    fn changed(&mut self, batch: Batch, now: Instant) {
        self.lingering_reported = false;
        if self.exit.is_some() {
            return;
        }
        let (events, delay) = self.loops.decide(&batch);
        events.into_iter().for_each(|event| self.lifecycle.emit(event));
        if !batch.changes.is_empty() {
            self.pending.add(batch, delay.map(|delay| now + delay));
        }
    }

    fn stop(&mut self, exit: SupervisorExit, now: Instant) {
        self.prepare_exit(exit);
        self.lifecycle.stop_all(now);
    }

    fn prepare_exit(&mut self, exit: SupervisorExit) {
        self.exit.get_or_insert(exit);
        self.pending = PendingRestart::default();
        self.backoff_until = None;
    }

    /// Begins the next generation if a restart is pending and nothing is in its way.
    fn begin_if_due(&mut self, now: Instant) {
        self.pending.requested |= self.backoff_until.is_some_and(|at| at <= now);
        self.pending.delayed_until = self.pending.delayed_until.filter(|until| *until > now);
        let waits = (self.paused || self.pending.delayed_until.is_some()) && !self.pending.requested;
        if self.exit.is_some() || self.halted || self.pending.is_empty() || waits {
            return;
        }
        if !self.pending.requested {
            let last_change = self.pending.batch.as_ref().map(|batch| batch.compared_at);
            if last_change.is_some_and(|change| self.lifecycle.includes(change)) {
                self.pending = PendingRestart::default();
                return;
            }
            if self.is_busy_with_other_policy() {
                return;
            }
        }
        self.backoff_until = None;
        self.lifecycle.begin(std::mem::take(&mut self.pending).batch, now);
    }

    /// Applies [`OnBusy`] if a generation is active. Returns whether that replaces the restart.
    fn is_busy_with_other_policy(&mut self) -> bool {
        let Some(generation) = self.lifecycle.active().filter(|_| !self.lifecycle.has_next()) else {
            return false;
        };
        match self.options.on_busy {
            OnBusy::Restart => return false,
            OnBusy::Queue => {}
            OnBusy::Ignore => self.pending = PendingRestart::default(),
            OnBusy::Signal => {
                self.pending = PendingRestart::default();
                let target = match self.options.stop_scope {
                    StopScope::Leader => SignalTarget::Leader,
                    StopScope::Group => SignalTarget::Group,
                };
                let signal = self.options.stop_signal;
                self.lifecycle.push(Action::Signal { generation, target, signal });
            }
        }
        true
    }

    /// Decides what follows the end of a generation that nothing asked for.
    fn ended_unexpectedly(&mut self, generation: GenerationId, end: Option<UnexpectedEnd>, now: Instant) {
        let Some(UnexpectedEnd { exit, ran }) = end else { return };
        if self.exit.is_some() {
            return;
        }
        if let ProcessExit::NotStarted(status) = exit
            && generation == GenerationId::FIRST
        {
            return self.stop(SupervisorExit::NotStarted(status), now);
        }
        if self.options.command.stdin == Stdin::Inherit && is_from_terminal(exit) {
            return self.stop(SupervisorExit::Child(exit), now);
        }
        let is_replaced = self.lifecycle.has_next() || self.lifecycle.active().is_some();
        if is_replaced || self.halted || !self.pending.is_empty() && !self.paused {
            return;
        }
        let inherits_socket = self.options.port == Port::Inherited || !self.options.listen.is_empty();
        let is_werkzeug = self.options.pass_socket == PassSocket::Werkzeug && inherits_socket;
        if is_werkzeug && werkzeug_wants_restart(exit) {
            self.pending.requested = true;
            return;
        }
        let backoff = match self.options.on_exit {
            OnExit::Quit => return self.stop(SupervisorExit::Child(exit), now),
            OnExit::Wait => None,
            OnExit::Restart => Some(self.schedule_restart(ran, now)),
        };
        self.lifecycle.emit(Event::Waiting { backoff });
    }

    /// Schedules the restart of a child that ended after it `ran` this long, and returns the delay.
    fn schedule_restart(&mut self, ran: Duration, now: Instant) -> Duration {
        let delay = if ran >= BACKOFF_RESET_TIME { FIRST_BACKOFF } else { self.next_backoff };
        self.backoff_until = Some(now + delay);
        self.next_backoff = (delay * 2).min(MAX_BACKOFF);
        delay
    }
}

/// Whether the terminal ended the process: by Ctrl-C, by Ctrl-\, or because the terminal closed. A shell that
/// runs the process exits with 128 plus the number of SIGINT instead.
fn is_from_terminal(exit: ProcessExit) -> bool {
    match exit {
        ProcessExit::Signal(signal) => [Signal::INT, Signal::QUIT, Signal::HUP].contains(&signal),
        ProcessExit::Status(status) => status == 128 + Signal::INT.number(),
        ProcessExit::Interrupted(_) => true,
        _ => false,
    }
}

#[cfg(test)]
impl Machine {
    pub(super) fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }
}
