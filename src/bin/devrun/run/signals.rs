//! The signals that devrun handles during a run, and the requests to stop. `main_loop.rs` acts on them.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::{Duration, Instant};

use devrun::supervise::{OnExit, ProcessExit, Request, Signal, SupervisorExit, terminal};
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};

use crate::ui::ExitCode;

/// The signals that devrun handles, the most urgent first.
const HANDLED: [Signal; 7] =
    [Signal::INT, Signal::TERM, Signal::QUIT, Signal::HUP, Signal::TSTP, Signal::CONT, Signal::WINCH];

/// Maximum time between two signals that one key press causes.
///
/// A wrapper such as `npm run` forwards Ctrl-C, so devrun receives SIGINT from the terminal and from the
/// wrapper.
const SAME_PRESS: Duration = Duration::from_millis(30);

/// Streams of the signals that devrun handles.
pub(super) struct Signals(Vec<(Signal, SignalStream)>);

impl Signals {
    /// Installs the handlers. They stay for the life of the process.
    ///
    /// SIGHUP and SIGTSTP stay ignored if they were ignored when devrun started, as under `nohup`.
    pub(super) fn listen() -> io::Result<Self> {
        let stays_ignored =
            |signal| [Signal::HUP, Signal::TSTP].contains(&signal) && terminal::is_ignored(signal);
        let streams = HANDLED
            .into_iter()
            .filter(|signal| !stays_ignored(*signal))
            .map(|handled| signal(SignalKind::from_raw(handled.number())).map(|stream| (handled, stream)));
        streams.collect::<io::Result<_>>().map(Self)
    }

    /// Whether the end of the terminal ends devrun. Under `nohup` it does not.
    pub(super) fn handles_hangup(&self) -> bool {
        self.0.iter().any(|(signal, _)| *signal == Signal::HUP)
    }

    /// Waits for the next signal. Cancel-safe.
    pub(super) async fn next(&mut self) -> Signal {
        poll_fn(|context| {
            let mut streams = self.0.iter_mut();
            let arrived =
                streams.find_map(|(signal, stream)| stream.poll_recv(context).is_ready().then_some(*signal));
            arrived.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

/// The requests to stop so far: the first one stops COMMAND gently, the second one kills it.
#[derive(Debug, Default)]
pub(super) struct StopSequence {
    /// The first signal that requested the stop. devrun ends by it.
    signal: Option<Signal>,
    /// When the stop of the current session was first requested.
    requested_at: Option<Instant>,
}

impl StopSequence {
    /// A new session runs, which was not asked to stop.
    pub(super) fn session_started(&mut self) {
        self.requested_at = None;
    }

    /// A signal arrived.
    pub(super) fn request_by_signal(&mut self, signal: Signal, now: Instant) -> Option<Request> {
        self.signal.get_or_insert(signal);
        // The kernel and the shell both send SIGHUP when a terminal is closed.
        if signal == Signal::HUP && self.requested_at.is_some() {
            return None;
        }
        self.request(now)
    }

    /// The command `q` was typed, or a signal arrived.
    pub(super) fn request(&mut self, now: Instant) -> Option<Request> {
        match self.requested_at {
            None => {
                self.requested_at = Some(now);
                Some(Request::Stop)
            }
            Some(since) if now.saturating_duration_since(since) < SAME_PRESS => None,
            Some(_) => Some(Request::Kill),
        }
    }

    /// The exit status of devrun after the end of the last session.
    pub(super) fn exit_code(&self, exit: SupervisorExit) -> ExitCode {
        let ended = match (exit, self.signal) {
            (SupervisorExit::NotStarted(status), _) => ProcessExit::NotStarted(status),
            (_, Some(signal)) => ProcessExit::Signal(signal),
            (SupervisorExit::Child(ended), None) => ended,
            (_, None) => return ExitCode::Success,
        };
        match ended {
            ProcessExit::Signal(signal) => ExitCode::Signal(signal),
            ProcessExit::Status(status) | ProcessExit::Interrupted(status) => {
                ExitCode::Child(u8::try_from(status & 0xff).unwrap_or(u8::MAX))
            }
            // The numbers of a shell.
            ProcessExit::NotStarted(2) => ExitCode::Failed,
            ProcessExit::NotStarted(126) => ExitCode::NotExecutable,
            _ => ExitCode::NotFound,
        }
    }
}

/// Whether COMMAND ended by Ctrl-C, so that devrun ends by SIGINT. With `--on-exit quit`, a status that COMMAND has
/// chosen becomes devrun's own instead.
pub(super) fn was_interrupted(ended: ProcessExit, on_exit: OnExit) -> bool {
    match ended {
        ProcessExit::Interrupted(_) => on_exit != OnExit::Quit,
        // 130 is what a shell makes of SIGINT.
        ended => ended == ProcessExit::Signal(Signal::INT) || ended == ProcessExit::Status(130),
    }
}
