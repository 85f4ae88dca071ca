//! Descriptors, masks and groups, as every Unix has them.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use rustix::fd::AsFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A duplicate at `least` or above that the child does not inherit: descriptors up to there are for handing over.
pub(crate) fn duplicate_high(fd: impl AsFd, least: RawFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(fd, least)?)
}

/// A pipe that no child inherits.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    #[cfg(not(target_vendor = "apple"))]
    // SAFETY: `ends` has room for both descriptors.
    let result = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) };
    #[cfg(target_vendor = "apple")]
    // SAFETY: `ends` has room for both descriptors; there is no atomic way here.
    let result = unsafe {
        let result = libc::pipe(ends.as_mut_ptr());
        if result == 0 {
            libc::fcntl(ends[0], libc::F_SETFD, libc::FD_CLOEXEC);
            libc::fcntl(ends[1], libc::F_SETFD, libc::FD_CLOEXEC);
        }
        result
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both descriptors are fresh and owned by nobody else.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
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

pub(super) fn block_all_signals() -> libc::sigset_t {
    // SAFETY: both sets are initialised by the calls themselves.
    unsafe {
        let mut all = std::mem::zeroed();
        let mut before = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        before
    }
}

pub(super) fn restore_signals(before: &libc::sigset_t) {
    // SAFETY: the set comes from `block_all_signals`.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, std::ptr::null_mut()) };
}

/// Begins a process that borrows our memory, as posix_spawn(3) does: this thread goes on when it has executed or ended, so that no
/// page is copied for it, here or there. It stands on so many bytes of its own.
///
/// # Safety
/// All signals are blocked, so that no handler runs on its stack; `run` may touch nothing that this process must not find changed.
#[cfg(target_os = "linux")]
pub(super) unsafe fn begin_borrowing(
    stack: usize,
    run: extern "C" fn(*mut libc::c_void) -> libc::c_int,
    argument: *mut libc::c_void,
) -> io::Result<libc::pid_t> {
    let mut stack: Vec<u128> = Vec::with_capacity(stack / size_of::<u128>());
    // SAFETY: the stack is its alone and outlives its use, since this thread goes on only after that.
    unsafe { begin_on(&mut stack, libc::CLONE_VFORK, run, argument) }
}

/// Begins a process that takes our memory over, where a fork would copy it for one of the two to throw it away. It stands on so
/// many bytes of its own.
///
/// # Safety
/// This process has one thread, all signals are blocked, and it does nothing from here on but `_exit`.
#[cfg(target_os = "linux")]
pub(super) unsafe fn begin_successor(
    stack: usize,
    run: extern "C" fn(*mut libc::c_void) -> libc::c_int,
    argument: *mut libc::c_void,
) -> io::Result<libc::pid_t> {
    let mut stack: std::mem::ManuallyDrop<Vec<u128>> =
        std::mem::ManuallyDrop::new(Vec::with_capacity(stack / size_of::<u128>()));
    // SAFETY: the stack is its alone, and nobody ever frees it.
    unsafe { begin_on(&mut stack, 0, run, argument) }
}

/// # Safety
/// As for those above; the stack lives as long as the process.
#[cfg(target_os = "linux")]
unsafe fn begin_on(
    stack: &mut Vec<u128>,
    flags: libc::c_int,
    run: extern "C" fn(*mut libc::c_void) -> libc::c_int,
    argument: *mut libc::c_void,
) -> io::Result<libc::pid_t> {
    // SAFETY: the top is within the allocation, and aligned.
    let pid = unsafe {
        let top = stack.as_mut_ptr().add(stack.capacity());
        libc::clone(run, top.cast(), libc::CLONE_VM | flags | libc::SIGCHLD, argument)
    };
    if pid == -1 { Err(io::Error::last_os_error()) } else { Ok(pid) }
}

/// Runs something while one signal is blocked in this thread.
pub(crate) fn with_signal_blocked<T>(signal: i32, run: impl FnOnce() -> T) -> T {
    // SAFETY: both sets are initialised by the calls themselves.
    let before = unsafe {
        let mut one = std::mem::zeroed();
        let mut before = std::mem::zeroed();
        libc::sigemptyset(&mut one);
        libc::sigaddset(&mut one, signal);
        libc::pthread_sigmask(libc::SIG_BLOCK, &one, &mut before);
        before
    };
    let result = run();
    restore_signals(&before);
    result
}
