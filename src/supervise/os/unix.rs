//! Descriptors, masks and groups, as every Unix has them.

use std::io;
use std::os::fd::{OwnedFd, RawFd};

use rustix::fd::AsFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A duplicate at `least` or above that the child does not inherit: descriptors up to there are for handing over.
pub(crate) fn duplicate_high(fd: impl AsFd, least: RawFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(fd, least)?)
}

/// A pipe that no child inherits.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    #[cfg(not(target_vendor = "apple"))]
    return Ok(rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?);
    #[cfg(target_vendor = "apple")]
    {
        // There is no atomic way here.
        let (read, write) = rustix::pipe::pipe()?;
        rustix::io::fcntl_setfd(&read, rustix::io::FdFlags::CLOEXEC)?;
        rustix::io::fcntl_setfd(&write, rustix::io::FdFlags::CLOEXEC)?;
        Ok((read, write))
    }
}

/// A descriptor whose readability the runtime waits for.
pub(crate) fn readable(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an owned descriptor stays the same and open until it is dropped, with the `AsyncFd` around it.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)
}

/// The group of this process; 0 if its leader is outside of this process's PID namespace.
pub(crate) fn own_group() -> i32 {
    // SAFETY: plain system call that cannot fail.
    unsafe { libc::getpgrp() }
}

pub(crate) fn block_all_signals() -> libc::sigset_t {
    change_mask(libc::SIG_SETMASK, &signals(None, libc::sigfillset))
}

pub(super) fn unblock_all_signals() {
    restore_signals(&signals(None, libc::sigemptyset));
}

pub(super) fn restore_signals(before: &libc::sigset_t) {
    change_mask(libc::SIG_SETMASK, before);
}

/// Closes every descriptor from `first` on: for a process that is about to do one single task, and uses none of them.
pub(crate) fn close_descriptors_from(first: RawFd) {
    let open = open_descriptors().unwrap_or_else(|| {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        (0..limit.unwrap_or(4096).min(65_536) as RawFd).collect()
    });
    for fd in open.into_iter().filter(|fd| *fd >= first) {
        // SAFETY: the process has one thread, and no object in it owns one of these descriptors.
        unsafe { libc::close(fd) };
    }
}

/// Which descriptors are open, where the system tells: the limit may be a million.
#[cfg(target_os = "linux")]
fn open_descriptors() -> Option<Vec<RawFd>> {
    let entries = std::fs::read_dir("/proc/self/fd").ok()?;
    Some(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

#[cfg(not(target_os = "linux"))]
fn open_descriptors() -> Option<Vec<RawFd>> {
    None
}

/// Runs something while one signal is blocked in this thread.
pub(crate) fn with_signal_blocked<T>(signal: i32, run: impl FnOnce() -> T) -> T {
    let before = change_mask(libc::SIG_BLOCK, &signals(Some(signal), libc::sigemptyset));
    let result = run();
    restore_signals(&before);
    result
}

/// A set that `fill` has filled, with `signal` besides.
fn signals(
    signal: Option<i32>,
    fill: unsafe extern "C" fn(*mut libc::sigset_t) -> libc::c_int,
) -> libc::sigset_t {
    // SAFETY: all zero is a valid set, `fill` is `sigfillset` or `sigemptyset`, and `sigaddset` refuses unknown numbers.
    unsafe {
        let mut set = std::mem::zeroed();
        fill(&mut set);
        if let Some(signal) = signal {
            libc::sigaddset(&mut set, signal);
        }
        set
    }
}

/// Changes the signal mask of this thread; returns the one before.
fn change_mask(how: libc::c_int, set: &libc::sigset_t) -> libc::sigset_t {
    let mut before = signals(None, libc::sigemptyset);
    // SAFETY: both sets are initialised.
    unsafe { libc::pthread_sigmask(how, set, &mut before) };
    before
}

/// What a signal does in this process: `SIG_DFL`, `SIG_IGN` or the address of a handler; `None` if it has no such number.
pub(super) fn disposition(signal: i32) -> Option<libc::sighandler_t> {
    action(signal, None).map(|action| action.sa_sigaction)
}

/// Sets what a signal does: `SIG_DFL` or `SIG_IGN`. Signals that cannot be changed are left alone.
pub(super) fn set_disposition(signal: i32, disposition: libc::sighandler_t) {
    debug_assert!(disposition == libc::SIG_DFL || disposition == libc::SIG_IGN);
    // SAFETY: all zero is a valid action.
    let mut new: libc::sigaction = unsafe { std::mem::zeroed() };
    new.sa_sigaction = disposition;
    action(signal, Some(&new));
}

/// The action of a signal, and then a new one. Async-signal-safe.
fn action(signal: i32, new: Option<&libc::sigaction>) -> Option<libc::sigaction> {
    // SAFETY: the memory is initialised. A new action has no handler, or is one that was in force before.
    unsafe {
        let mut before: libc::sigaction = std::mem::zeroed();
        let new = new.map_or(std::ptr::null(), std::ptr::from_ref);
        (libc::sigaction(signal, new, &mut before) == 0).then_some(before)
    }
}
