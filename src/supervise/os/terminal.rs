//! The terminal, and the process's own signals.

use std::io;
use std::os::fd::AsFd;

use super::super::signal::Signal;

/// Makes this process's group the foreground of the terminal on standard input again.
pub(crate) fn take_back() {
    let stdin = io::stdin();
    // A group whose leader is outside of the PID namespace has no number here, and never owned this terminal by it.
    let Some(group) = rustix::process::Pid::from_raw(super::unix::own_group()) else { return };
    // A background group that does this is stopped by SIGTTOU, unless that is blocked.
    super::unix::with_signal_blocked(libc::SIGTTOU, || {
        let _ = rustix::termios::tcsetpgrp(stdin.as_fd(), group);
    });
}

/// Ends this process by a signal as if it had never been caught. Returns if it does not end by it.
pub(crate) fn die_by(signal: Signal) {
    // SAFETY: the default action is restored and the signal let through; both are plain system calls on initialised memory.
    unsafe {
        let mut default: libc::sigaction = std::mem::zeroed();
        default.sa_sigaction = libc::SIG_DFL;
        libc::sigaction(signal.number(), &default, std::ptr::null_mut());
        let mut one: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut one);
        libc::sigaddset(&mut one, signal.number());
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &one, std::ptr::null_mut());
        // To the process, not to the thread, and gone before this returns if it is deadly.
        libc::kill(libc::getpid(), signal.number());
    }
}

/// Stops this process (`SIGSTOP`); returns when it goes on.
pub(crate) fn stop_self() {
    // SAFETY: plain system calls.
    unsafe { libc::kill(libc::getpid(), libc::SIGSTOP) };
}

/// Whether this process ignores a signal.
pub(crate) fn is_ignored(signal: Signal) -> bool {
    // SAFETY: only asks; the memory is initialised.
    unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal.number(), std::ptr::null(), &mut now) == 0 && now.sa_sigaction == libc::SIG_IGN
    }
}

/// Runs something that would stop a background group with `SIGTTOU`.
pub(crate) fn from_background<T>(run: impl FnOnce() -> T) -> T {
    super::unix::with_signal_blocked(libc::SIGTTOU, run)
}
