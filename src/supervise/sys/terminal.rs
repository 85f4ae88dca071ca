//! The terminal on standard input, and how this process stops or ends as if a terminal had asked for it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::process::Pid;
use rustix::pty::{OpenptFlags, openpt};
use rustix::termios::{OptionalActions, Termios, tcgetpgrp, tcsetattr, tcsetpgrp};

use crate::supervise::signal::Signal;

use super::signals::{self, kill_own_group, kill_self, own_group};

/// Opens a new pseudo-terminal and returns its master; no child inherits it.
pub(crate) fn open_pty_master() -> io::Result<OwnedFd> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    #[cfg(any(target_os = "linux", target_os = "freebsd"))]
    return Ok(openpt(flags | OpenptFlags::CLOEXEC)?);
    #[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
    {
        // This system has no atomic way.
        let master = openpt(flags)?;
        rustix::io::fcntl_setfd(&master, rustix::io::FdFlags::CLOEXEC)?;
        Ok(master)
    }
}

/// Foreground process group of the terminal; `None` if standard input is no terminal.
pub(crate) fn foreground_group() -> Option<i32> {
    tcgetpgrp(io::stdin().as_fd()).ok().map(|group| group.as_raw_nonzero().get())
}

/// Whether this process is in the foreground of the terminal, so that it may read from it.
pub(crate) fn is_in_foreground() -> bool {
    foreground_group() == Some(own_group())
}

/// Makes a group the foreground group of the terminal. Returns whether that worked.
pub(crate) fn set_foreground_group(group: i32) -> bool {
    // The group may be 0 in a PID namespace.
    Pid::from_raw(group)
        .is_some_and(|group| from_background(|| tcsetpgrp(io::stdin().as_fd(), group).is_ok()))
}

/// Sets the modes of the terminal at once: a terminal whose output is stopped (Ctrl-S) must not block the
/// supervisor.
pub(crate) fn set_modes(modes: &Termios) -> io::Result<()> {
    from_background(|| Ok(tcsetattr(io::stdin().as_fd(), OptionalActions::Now, modes)?))
}

/// Runs something that would stop a background process with `SIGTTOU`.
fn from_background<T>(run: impl FnOnce() -> T) -> T {
    let before = signals::block(Signal::TTOU);
    let result = run();
    before.restore();
    result
}

/// Lets this thread write to a terminal from the background, even if the terminal would stop the process for
/// that.
pub(crate) fn allow_background_writes() {
    signals::block(Signal::TTOU);
}

/// Ends this process by a signal as if it had never been caught. Returns if the signal does not end it.
pub(crate) fn die_by(signal: Signal) {
    // The shell needs the exit status. A core file of devrun in the user's project would only be in the way.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Core);
    let none = rustix::process::Rlimit { current: Some(0), maximum: limit.maximum };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
    signals::set_default(signal.number());
    signals::unblock(signal);
    // A deadly signal takes effect before this call returns.
    kill_self(signal);
}

/// Stops this process with `SIGSTOP`; returns when it continues.
pub(crate) fn stop_self() {
    kill_self(Signal::STOP);
}

/// Stops the other processes of this process's group with `SIGTSTP`, as the terminal would have done.
pub(crate) fn stop_rest_of_group() {
    signals::with_ignored(Signal::TSTP, || kill_own_group(Signal::TSTP));
}

/// Whether this process ignores a signal.
pub(crate) fn is_ignored(signal: Signal) -> bool {
    signals::disposition(signal.number()) == Some(libc::SIG_IGN)
}
