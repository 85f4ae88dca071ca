//! Job control: what Ctrl-Z, `fg` and `bg` mean for what runs, and who has the terminal. Sends no signal itself.

use std::time::{Duration, Instant};

use super::command::Stdin;
use super::foreground::Foreground;
use super::os::stopped;
use super::probe::Look;
use super::signal::Signal;

/// How long a tree has to stop at `SIGTSTP`.
const SUSPEND: Duration = Duration::from_millis(300);

/// What the stop of a child by the terminal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The whole job is to be stopped: by Ctrl-Z, or because it waits for the terminal in the background.
    Job,
    /// The child has the terminal now, and may go on.
    GoOn,
    /// It cannot have the terminal; to be told once.
    Refused { pid: i32, signal: Signal },
}

/// Whether what runs is stopped, or is about to be.
#[derive(Debug)]
enum State {
    Runs,
    /// Everything is being stopped: until when it may take, and when to look next.
    Suspending {
        until: Instant,
        look: Look,
    },
    /// Everything is stopped, and goes on with this process.
    Suspended,
}

/// The job that everything that runs is, and the terminal that goes with it.
#[derive(Debug)]
pub(super) struct Jobs {
    /// The child gets the terminal.
    lends: bool,
    pub(super) foreground: Foreground,
    state: State,
    /// It was said that the child cannot have the terminal.
    refused: bool,
}

impl Jobs {
    pub(super) fn new(stdin: Stdin) -> Self {
        let lends = stdin == Stdin::Inherit;
        Self { lends, foreground: Foreground::new(), state: State::Runs, refused: false }
    }

    /// When to look next whether everything has stopped.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Suspending { look, .. } => Some(look.at),
            State::Runs | State::Suspended => None,
        }
    }

    /// Everything was told to stop.
    pub(super) fn suspending(&mut self, now: Instant) {
        self.state = State::Suspending { until: now + SUSPEND, look: Look::now(now) };
    }

    /// Whether the time for that is over: everything has stopped, or will not by itself.
    pub(super) fn is_stopped(&mut self, now: Instant, all: impl FnOnce() -> bool) -> bool {
        let State::Suspending { until, look } = &mut self.state else { return false };
        if look.at > now {
            return false;
        }
        look.later(now);
        now >= *until || all()
    }

    /// Everything is stopped.
    pub(super) fn suspended(&mut self) {
        self.state = State::Suspended;
    }

    /// Everything goes on; the newest child with the terminal, if it was lent.
    pub(super) fn go_on(&mut self, newest: Option<i32>) {
        self.state = State::Runs;
        if let Some(pid) = newest.filter(|_| self.lends) {
            self.foreground.give(pid);
        }
    }

    /// Looks whether one of these was stopped by the terminal: by Ctrl-Z while it had it, or because it wants to have it.
    pub(super) fn look(&mut self, pids: &[i32]) -> Option<Stop> {
        if !matches!(self.state, State::Runs) {
            return None;
        }
        pids.iter().find_map(|pid| stopped(*pid).and_then(|signal| self.judge(*pid, signal)))
    }

    fn judge(&mut self, pid: i32, signal: Signal) -> Option<Stop> {
        match signal {
            Signal::TSTP if self.foreground.has(pid) => {
                self.foreground.stopped(pid);
                Some(Stop::Job)
            }
            // A process in the background is stopped when it reads from the terminal or changes its modes.
            Signal::TTIN | Signal::TTOU if self.lends => match self.foreground.give(pid) {
                true => Some(Stop::GoOn),
                false => Some(Stop::Job),
            },
            Signal::TTIN | Signal::TTOU if !std::mem::replace(&mut self.refused, true) => {
                Some(Stop::Refused { pid, signal })
            }
            _ => None,
        }
    }
}
