//! The terminal on standard input: its foreground group and its modes, and how this process stops or ends as if
//! the terminal had asked for it.

use std::io;
use std::os::fd::AsFd;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr, tcsetpgrp};

use crate::supervise::signal::Signal;
use crate::supervise::sys::pid::Pid;
use crate::supervise::sys::signals::{self, kill_own_group, kill_self, own_group};

/// Whether this process may read from the terminal on its standard input.
#[must_use]
pub fn in_foreground() -> bool {
    foreground_group() == Some(own_group())
}

/// Foreground process group of the terminal; `None` if standard input is no terminal.
pub(super) fn foreground_group() -> Option<Pid> {
    tcgetpgrp(io::stdin().as_fd()).ok().map(Pid::from)
}

/// Makes a group the foreground group of the terminal. Returns whether that worked.
pub(super) fn set_foreground_group(group: Pid) -> bool {
    // The group may be 0 in a PID namespace.
    group.to_rustix().is_some_and(|group| from_background(|| tcsetpgrp(io::stdin().as_fd(), group).is_ok()))
}

/// The modes of the terminal; `None` if standard input is no terminal.
pub(super) fn modes() -> Option<Termios> {
    tcgetattr(io::stdin().as_fd()).ok()
}

/// Sets the modes of the terminal at once: a terminal whose output is stopped (Ctrl-S) must not block the
/// supervisor.
pub(super) fn set_modes(modes: &Termios) -> io::Result<()> {
    from_background(|| Ok(tcsetattr(io::stdin().as_fd(), OptionalActions::Now, modes)?))
}

/// Runs something that would stop a background process with `SIGTTOU`.
fn from_background<T>(run: impl FnOnce() -> T) -> T {
    let before = signals::block(Signal::TTOU);
    let result = run();
    before.restore();
    result
}

/// Unblocks all signals in this thread. A program whose caller had blocked a signal could not be ended by it. Call
/// this before the program starts threads, which inherit the mask.
pub fn unblock_signals() {
    signals::unblock_all();
}

/// Ends this process by a signal as if it had never been caught, so that a shell sees the true status.
/// Returns only if the signal does not end it: then exit with 128 plus its number.
pub fn die_by(signal: Signal) {
    // A core file of devrun in the user's project would only be in the way.
    let none = Rlimit { current: Some(0), maximum: getrlimit(Resource::Core).maximum };
    let _ = setrlimit(Resource::Core, none);
    signals::set_default(signal.number());
    signals::unblock(signal);
    // A deadly signal takes effect before this call returns.
    kill_self(signal);
}

/// Stops this process, as Ctrl-Z stops a program that does not catch it; returns when it continues.
pub fn stop_self() {
    kill_self(Signal::STOP);
}

/// Stops this process and the rest of its group, as Ctrl-Z does. For when the child owns the terminal, so
/// that only the child has noticed Ctrl-Z. Returns when this process continues.
pub fn stop_group() {
    signals::with_ignored(Signal::TSTP, || kill_own_group(Signal::TSTP));
    stop_self();
}

/// Whether this process ignores a signal, as `nohup` asks for, or a shell that starts it with `&`. Ask before
/// the program installs handlers.
#[must_use]
pub fn is_ignored(signal: Signal) -> bool {
    signals::disposition(signal.number()) == Some(libc::SIG_IGN)
}
