//! Job control: what Ctrl-Z, `fg` and `bg` mean for the processes that run, and which of them has the
//! terminal. Sends no signal itself.
//!
//! A shell does the same for its jobs. The terminal is never taken from another group: after `bg` it is the
//! shell's.

use std::time::{Duration, Instant};

use rustix::termios::Termios;

use crate::supervise::command::Stdin;
use crate::supervise::poll_timer::PollTimer;
use crate::supervise::signal::Signal;
use crate::supervise::sys::pid::Pid;
use crate::supervise::sys::signals::own_group;
use crate::supervise::sys::wait::take_stop;

use super::own_terminal::{foreground_group, modes, set_foreground_group, set_modes};

/// Timeout for a tree to stop after `SIGTSTP`.
const SUSPEND_TIMEOUT: Duration = Duration::from_millis(300);

/// Why the terminal has stopped a child, and what follows from that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// Ctrl-Z, or the child waits for the terminal in the background: the whole job has to stop.
    Job,
    /// The child waited for the terminal and has it now: it has to continue.
    GotTerminal,
    /// The child waits for the terminal and cannot have it: the user has to know, once.
    NeedsTerminal { pid: Pid, signal: Signal },
}

/// Whether the processes run or are stopped.
#[derive(Debug)]
enum JobState {
    Running,
    /// `SIGTSTP` was sent; at `deadline` the processes that still run are stopped by `SIGSTOP`.
    Suspending {
        deadline: Instant,
        timer: PollTimer,
    },
    Suspended,
}

/// Everything that runs, as one job of the shell, and the terminal that belongs to it.
#[derive(Debug)]
pub(crate) struct JobControl {
    state: JobState,
    /// A child may have the terminal.
    lends_terminal: bool,
    /// The child that has the terminal; it leads its group.
    terminal_owner: Option<Pid>,
    /// Modes of the terminal before the first child gets it.
    modes_before: Option<Termios>,
    /// Modes of a child that was stopped while it had the terminal.
    modes_of_stopped_child: Option<Termios>,
    /// [`StopReason::NeedsTerminal`] was returned.
    has_warned: bool,
}

impl JobControl {
    pub(crate) fn new(stdin: Stdin) -> Self {
        Self {
            state: JobState::Running,
            lends_terminal: stdin == Stdin::Inherit,
            terminal_owner: None,
            modes_before: modes(),
            modes_of_stopped_child: None,
            has_warned: false,
        }
    }

    /// A child was started as the foreground group of the terminal.
    pub(crate) fn child_started_with_terminal(&mut self, pid: Pid) {
        self.terminal_owner = Some(pid);
    }

    /// A child has ended: the terminal is restored if it had it.
    pub(crate) fn child_ended(&mut self, pid: Pid) {
        if self.terminal_owner == Some(pid) {
            self.finish();
        }
    }

    /// Everything ends: the terminal is restored if a child has it.
    pub(crate) fn finish(&mut self) {
        let Some(owner) = self.terminal_owner else { return };
        self.modes_of_stopped_child = None;
        if self.has_terminal(owner) {
            self.take_terminal();
        }
        self.terminal_owner = None;
    }

    /// When to look next whether all processes have stopped.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            JobState::Suspending { timer, .. } => Some(timer.next()),
            JobState::Running | JobState::Suspended => None,
        }
    }

    /// `SIGTSTP` was sent to all processes.
    pub(crate) fn suspending(&mut self, now: Instant) {
        self.state = JobState::Suspending { deadline: now + SUSPEND_TIMEOUT, timer: PollTimer::start(now) };
    }

    /// Whether all processes have stopped, or the time for that is over. Asks `all_stopped` only when a look
    /// is due.
    pub(crate) fn is_suspend_over(&mut self, now: Instant, all_stopped: impl FnOnce() -> bool) -> bool {
        let JobState::Suspending { deadline, timer } = &mut self.state else { return false };
        if !timer.is_due(now) {
            return false;
        }
        timer.schedule_next(now);
        now >= *deadline || all_stopped()
    }

    /// All processes are stopped.
    pub(crate) fn suspended(&mut self) {
        self.state = JobState::Suspended;
    }

    /// All processes continue; the newest child gets the terminal if children may have it.
    pub(crate) fn resume(&mut self, newest: Option<Pid>) {
        self.state = JobState::Running;
        if let Some(pid) = newest.filter(|_| self.lends_terminal) {
            self.give_terminal_to(pid);
        }
    }

    /// Looks whether the terminal has stopped one of these children.
    pub(crate) fn check_stops(&mut self, pids: &[Pid]) -> Option<StopReason> {
        if !matches!(self.state, JobState::Running) {
            return None;
        }
        pids.iter().find_map(|pid| take_stop(*pid).and_then(|signal| self.judge(*pid, signal)))
    }

    fn judge(&mut self, pid: Pid, signal: Signal) -> Option<StopReason> {
        match signal {
            Signal::TSTP if self.has_terminal(pid) => {
                // The shell takes the terminal now. The modes are kept until the child continues.
                self.modes_of_stopped_child = modes();
                self.take_terminal();
                Some(StopReason::Job)
            }
            // The kernel stops a background process that reads from the terminal or changes its modes.
            Signal::TTIN | Signal::TTOU if self.lends_terminal => {
                let got_terminal = self.give_terminal_to(pid);
                Some(if got_terminal { StopReason::GotTerminal } else { StopReason::Job })
            }
            Signal::TTIN | Signal::TTOU if !std::mem::replace(&mut self.has_warned, true) => {
                Some(StopReason::NeedsTerminal { pid, signal })
            }
            _ => None,
        }
    }

    fn has_terminal(&self, pid: Pid) -> bool {
        self.terminal_owner == Some(pid) && foreground_group() == Some(pid)
    }

    /// Gives the terminal to a child, if this process or one of its children has it. Returns whether the
    /// child has it now.
    fn give_terminal_to(&mut self, pid: Pid) -> bool {
        let Some(now) = foreground_group() else { return false };
        if now != own_group() && self.terminal_owner != Some(now) {
            return false;
        }
        if let Some(modes) = self.modes_of_stopped_child.take() {
            let _ = set_modes(&modes);
        }
        self.terminal_owner = Some(pid);
        set_foreground_group(pid)
    }

    /// Takes the terminal from a child, and restores the modes from before.
    fn take_terminal(&self) {
        set_foreground_group(own_group());
        if let Some(before) = &self.modes_before {
            let _ = set_modes(before);
        }
    }
}
