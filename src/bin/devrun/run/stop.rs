//! Stops COMMAND gently at the first request and kills it at the second one. Pure: `now` is an argument.

use std::time::{Duration, Instant};

use devrun::supervise::{ProcessExit, Signal, SupervisorExit};

use crate::ui::ExitCode;

/// Maximum time between two signals that one key press causes.
///
/// A wrapper such as `npm run` forwards Ctrl-C, so devrun receives SIGINT from the terminal and from the
/// wrapper.
const SAME_PRESS: Duration = Duration::from_millis(30);

/// What to do with COMMAND.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StopAction {
    None,
    Stop,
    Kill,
}

/// The requests to stop so far.
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
    pub(super) fn request_by_signal(&mut self, signal: Signal, now: Instant) -> StopAction {
        self.signal.get_or_insert(signal);
        // The kernel and the shell both send SIGHUP when a terminal is closed.
        if signal == Signal::HUP && self.requested_at.is_some() {
            return StopAction::None;
        }
        self.request(now)
    }

    /// The key `q` was pressed, or a signal arrived.
    pub(super) fn request(&mut self, now: Instant) -> StopAction {
        match self.requested_at {
            None => {
                self.requested_at = Some(now);
                StopAction::Stop
            }
            Some(since) if now.saturating_duration_since(since) < SAME_PRESS => StopAction::None,
            Some(_) => StopAction::Kill,
        }
    }

    /// The exit status of devrun after the end of the last session.
    pub(super) fn exit_code(&self, exit: SupervisorExit) -> ExitCode {
        match (exit, self.signal) {
            (SupervisorExit::NotStarted(status), _) => not_started(status),
            (SupervisorExit::Child(ProcessExit::NotStarted(status)), None) => not_started(status),
            (SupervisorExit::Child(ProcessExit::Signal(signal)), None) => ExitCode::Signal(signal),
            (SupervisorExit::Child(ProcessExit::Status(status)), None) => {
                ExitCode::Child(u8::try_from(status & 0xff).unwrap_or(u8::MAX))
            }
            (SupervisorExit::Child(_), None) => ExitCode::NotFound,
            (_, Some(signal)) => ExitCode::Signal(signal),
            (_, None) => ExitCode::Success,
        }
    }
}

/// The exit status for a COMMAND that could not be started, by the numbers of a shell.
fn not_started(status: i32) -> ExitCode {
    match status {
        2 => ExitCode::Failed,
        126 => ExitCode::NotExecutable,
        _ => ExitCode::NotFound,
    }
}

/// Whether COMMAND ended by Ctrl-C: by SIGINT, or with the status that a shell gives it.
pub(super) fn was_interrupted(ended: ProcessExit) -> bool {
    ended == ProcessExit::Signal(Signal::INT) || ended == ProcessExit::Status(130)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_request_kills() {
        let mut stop = StopSequence::default();
        let now = Instant::now();
        assert_eq!(stop.request_by_signal(Signal::INT, now), StopAction::Stop);
        assert_eq!(stop.request_by_signal(Signal::INT, now + SAME_PRESS / 2), StopAction::None);
        assert_eq!(stop.request_by_signal(Signal::TERM, now + SAME_PRESS), StopAction::Kill);
        assert_eq!(stop.exit_code(SupervisorExit::Asked), ExitCode::Signal(Signal::INT));
    }

    #[test]
    fn a_second_hangup_does_not_kill() {
        let mut stop = StopSequence::default();
        let now = Instant::now();
        assert_eq!(stop.request_by_signal(Signal::HUP, now), StopAction::Stop);
        assert_eq!(stop.request_by_signal(Signal::HUP, now + Duration::from_secs(1)), StopAction::None);
    }

    #[test]
    fn the_key_ends_with_status_0() {
        let mut stop = StopSequence::default();
        assert_eq!(stop.request(Instant::now()), StopAction::Stop);
        assert_eq!(stop.exit_code(SupervisorExit::Asked), ExitCode::Success);
    }
}
