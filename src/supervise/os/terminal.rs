//! The terminal, and the process's own signals.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::pty::{OpenptFlags, openpt};

use super::super::signal::Signal;

/// The master's end of a new terminal; no child inherits it.
pub(crate) fn new_terminal() -> io::Result<OwnedFd> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    #[cfg(any(target_os = "linux", target_os = "freebsd"))]
    return Ok(openpt(flags | OpenptFlags::CLOEXEC)?);
    #[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
    {
        // There is no atomic way here.
        let ours = openpt(flags)?;
        rustix::io::fcntl_setfd(&ours, rustix::io::FdFlags::CLOEXEC)?;
        Ok(ours)
    }
}

/// Makes a group the foreground of the terminal on standard input.
pub(crate) fn give(group: i32) -> bool {
    let stdin = io::stdin();
    let Some(group) = rustix::process::Pid::from_raw(group) else { return false };
    // A background group that does this is stopped by SIGTTOU, unless that is blocked.
    super::unix::with_signal_blocked(libc::SIGTTOU, || {
        rustix::termios::tcsetpgrp(stdin.as_fd(), group).is_ok()
    })
}

/// Ends this process by a signal as if it had never been caught. Returns if it does not end by it.
pub(crate) fn die_by(signal: Signal) {
    // What is wanted is the status for the shell; a core file of ours in somebody's project is not.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Core);
    let none = rustix::process::Rlimit { current: Some(0), maximum: limit.maximum };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
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

/// Lets this thread write to a terminal from the background, whatever the terminal says to that.
pub(crate) fn never_stop_for_writing() {
    // SAFETY: plain system calls on initialised memory.
    unsafe {
        let mut one: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut one);
        libc::sigaddset(&mut one, libc::SIGTTOU);
        libc::pthread_sigmask(libc::SIG_BLOCK, &one, std::ptr::null_mut());
    }
}

/// Stops the others of this process's group with `SIGTSTP`, as the terminal would have; not this process.
pub(crate) fn stop_others() {
    // SAFETY: the handler is put back as it was; plain system calls on initialised memory.
    unsafe {
        let mut ignore: libc::sigaction = std::mem::zeroed();
        let mut before: libc::sigaction = std::mem::zeroed();
        ignore.sa_sigaction = libc::SIG_IGN;
        libc::sigaction(libc::SIGTSTP, &ignore, &mut before);
        libc::kill(0, libc::SIGTSTP);
        libc::sigaction(libc::SIGTSTP, &before, std::ptr::null_mut());
    }
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
