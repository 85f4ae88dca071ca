//! Exit statuses of children; takes a status only when asked to.

use std::io;

use rustix::process::{Pid, WaitId, WaitIdOptions, WaitIdStatus};

use crate::supervise::phase::ProcessExit;
use crate::supervise::signal::Signal;

/// A pid as the system calls take it; an error for 0.
pub(crate) fn valid_pid(pid: i32) -> io::Result<Pid> {
    Pid::from_raw(pid.max(0)).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
}

/// How a child ended; `None` while it runs. It stays a zombie, so that no late signal can reach another
/// process with its pid.
pub(crate) fn peek_exit(pid: Pid) -> io::Result<Option<ProcessExit>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let status = rustix::process::waitid(WaitId::Pid(pid), options)?;
    Ok(status.as_ref().map(to_exit))
}

fn to_exit(status: &WaitIdStatus) -> ProcessExit {
    let signal = status.terminating_signal().and_then(Signal::from_number);
    match (status.exit_status(), signal) {
        (_, Some(signal)) => ProcessExit::Signal(signal),
        (Some(status), None) => ProcessExit::Status(status),
        // A signal without a name: as a shell reports it.
        (None, None) => ProcessExit::Status(128 + status.terminating_signal().unwrap_or(0)),
    }
}

/// Takes the news that a signal has stopped a child; `None` if there is none.
pub(crate) fn take_stop(pid: i32) -> Option<Signal> {
    let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
    let status = rustix::process::waitid(WaitId::Pid(valid_pid(pid).ok()?), options).ok().flatten()?;
    status.stopping_signal().and_then(Signal::from_number)
}

/// Takes the status of a child that has ended; does nothing if it has not.
pub(crate) fn reap(pid: i32) {
    if let Ok(pid) = valid_pid(pid) {
        let _ = rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    }
}

/// Pid of a child that has ended and was not reaped; `None` if there is none.
#[cfg(target_os = "linux")]
pub(crate) fn some_zombie() -> Option<i32> {
    // SAFETY: the memory is initialised, and `waitid` writes nothing else. `WNOWAIT` leaves the status to its
    // owner.
    unsafe {
        let mut found: libc::siginfo_t = std::mem::zeroed();
        let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        let is_found = libc::waitid(libc::P_ALL, 0, &mut found, options) == 0 && found.si_pid() > 0;
        is_found.then(|| found.si_pid())
    }
}
