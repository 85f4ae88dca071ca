//! Signals to processes and process groups.

use rustix::process::Pid;

use crate::supervise::signal::Signal;

/// Process group of this process; 0 if its leader is outside of this process's PID namespace.
pub(crate) fn own_group() -> i32 {
    group_of(0)
}

/// Process group of a process, or of this one for 0; -1 if there is no such process.
pub(crate) fn group_of(pid: i32) -> i32 {
    // SAFETY: plain system call. The wrapper of rustix does not accept the group 0.
    unsafe { libc::getpgid(pid) }
}

/// Sends a signal to one process, but never to init.
pub(crate) fn kill_process(pid: i32, signal: Signal) {
    if let (Some(pid), Some(signal)) = (target(pid), number(signal)) {
        // It may have ended in the meantime.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Sends a signal to every process of a group, but never to init's.
pub(crate) fn kill_group(group: i32, signal: Signal) {
    if let (Some(group), Some(signal)) = (target(group), number(signal)) {
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

/// Whether a group has a process; a zombie counts as one.
pub(crate) fn group_exists(group: i32) -> bool {
    target(group).is_some_and(|group| rustix::process::test_kill_process_group(group).is_ok())
}

/// Sends a signal to every process of this process's own group, this process included.
pub(crate) fn kill_own_group(signal: Signal) {
    if let Some(signal) = number(signal) {
        let _ = rustix::process::kill_current_process_group(signal);
    }
}

/// Sends a signal to this process: not to this thread alone.
pub(crate) fn kill_self(signal: Signal) {
    if let Some(signal) = number(signal) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), signal);
    }
}

/// A number that kill(2) takes for one process or one group: 0, 1 and negative numbers mean more than that.
fn target(pid: i32) -> Option<Pid> {
    Pid::from_raw(pid.max(0)).filter(|pid| !pid.is_init())
}

fn number(signal: Signal) -> Option<rustix::process::Signal> {
    rustix::process::Signal::from_named_raw(signal.number())
}
