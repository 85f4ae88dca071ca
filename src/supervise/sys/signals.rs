//! Signals to processes and groups, signal masks of a thread, and the dispositions of this process.

use crate::supervise::signal::Signal;
use crate::supervise::sys::pid::Pid;

/// Set of signals that a thread blocks.
pub(crate) struct SignalMask(libc::sigset_t);

impl SignalMask {
    /// Makes this the mask of the calling thread.
    pub(crate) fn restore(&self) {
        change_mask(libc::SIG_SETMASK, self);
    }
}

/// Blocks all signals in this thread; returns the mask before.
pub(crate) fn block_all() -> SignalMask {
    change_mask(libc::SIG_SETMASK, &mask(libc::sigfillset, None))
}

/// Unblocks all signals in this thread.
pub(crate) fn unblock_all() {
    mask(libc::sigemptyset, None).restore();
}

/// Blocks one signal in this thread; returns the mask before.
pub(crate) fn block(signal: Signal) -> SignalMask {
    change_mask(libc::SIG_BLOCK, &mask(libc::sigemptyset, Some(signal)))
}

/// Unblocks one signal in this thread.
pub(crate) fn unblock(signal: Signal) {
    change_mask(libc::SIG_UNBLOCK, &mask(libc::sigemptyset, Some(signal)));
}

/// Builds a mask: the signals that `fill` adds, and `signal`.
fn mask(
    fill: unsafe extern "C" fn(*mut libc::sigset_t) -> libc::c_int,
    signal: Option<Signal>,
) -> SignalMask {
    // SAFETY: all zero is a valid set, and `fill` is `sigfillset` or `sigemptyset`.
    unsafe {
        let mut set = std::mem::zeroed();
        fill(&mut set);
        if let Some(signal) = signal {
            libc::sigaddset(&mut set, signal.number());
        }
        SignalMask(set)
    }
}

/// Changes the mask of this thread; returns the one before.
fn change_mask(how: libc::c_int, set: &SignalMask) -> SignalMask {
    let mut before = mask(libc::sigemptyset, None);
    // SAFETY: both sets are initialised.
    unsafe { libc::pthread_sigmask(how, &set.0, &mut before.0) };
    before
}

/// The disposition of a signal: `SIG_DFL`, `SIG_IGN` or the address of a handler. `None` if no signal has this
/// number. Async-signal-safe.
pub(crate) fn disposition(signal: i32) -> Option<libc::sighandler_t> {
    replace_action(signal, None).map(|action| action.sa_sigaction)
}

/// Gives a signal its default action. Does nothing if that cannot be changed. Async-signal-safe.
pub(crate) fn set_default(signal: i32) {
    set_disposition(signal, libc::SIG_DFL);
}

/// Ignores a signal while `run` runs, and restores its action then.
pub(crate) fn with_ignored<T>(signal: Signal, run: impl FnOnce() -> T) -> T {
    let before = set_disposition(signal.number(), libc::SIG_IGN);
    let result = run();
    replace_action(signal.number(), before.as_ref());
    result
}

/// `disposition` is `SIG_DFL` or `SIG_IGN`. Returns the action before.
fn set_disposition(signal: i32, disposition: libc::sighandler_t) -> Option<libc::sigaction> {
    // SAFETY: all zero is a valid action.
    let mut new: libc::sigaction = unsafe { std::mem::zeroed() };
    new.sa_sigaction = disposition;
    replace_action(signal, Some(&new))
}

/// Returns the action of a signal, and then sets a new one if there is one.
fn replace_action(signal: i32, new: Option<&libc::sigaction>) -> Option<libc::sigaction> {
    // SAFETY: the memory is initialised. A new action has no handler, or it was in force before.
    unsafe {
        let mut before: libc::sigaction = std::mem::zeroed();
        let new = new.map_or(std::ptr::null(), std::ptr::from_ref);
        (libc::sigaction(signal, new, &mut before) == 0).then_some(before)
    }
}

/// Process group of this process; 0 if its leader is outside of this process's PID namespace.
pub(crate) fn own_group() -> Pid {
    group_of(Pid::new(0))
}

/// Process group of a process, or of this one for 0; -1 if there is no such process.
pub(crate) fn group_of(pid: Pid) -> Pid {
    // SAFETY: plain system call. The wrapper of rustix does not accept the group 0.
    Pid::new(unsafe { libc::getpgid(pid.number()) })
}

/// Sends a signal to one process, but never to init.
pub(crate) fn kill_process(pid: Pid, signal: Signal) {
    if pid.number() > 1 {
        kill(pid.number(), signal.number());
    }
}

/// Whether this process may send a process signals. `false` if it runs as another user (`EPERM`).
pub(crate) fn may_signal(pid: Pid) -> bool {
    kill(pid.number(), 0) || std::io::Error::last_os_error().raw_os_error() != Some(libc::EPERM)
}

/// Sends a signal to every process of a group, but never to init's.
pub(crate) fn kill_group(group: Pid, signal: Signal) {
    if group.number() > 1 {
        kill(-group.number(), signal.number());
    }
}

/// Whether a group other than init's has a process; a zombie counts as one.
pub(crate) fn group_exists(group: Pid) -> bool {
    group.number() > 1 && kill(-group.number(), 0)
}

/// Sends a signal to every process of this process's own group, this process included.
pub(crate) fn kill_own_group(signal: Signal) {
    kill(0, signal.number());
}

/// Sends a signal to this process: not to this thread alone.
pub(crate) fn kill_self(signal: Signal) {
    kill(Pid::own().number(), signal.number());
}

/// `kill(2)`. Returns `false` if no process is left that this process may signal.
fn kill(target: i32, signal: i32) -> bool {
    // SAFETY: plain system call without memory.
    unsafe { libc::kill(target, signal) == 0 }
}
