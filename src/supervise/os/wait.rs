//! How a child of ours has ended, or was stopped; takes its status only when asked to.

use std::io;

use rustix::process::{Pid, WaitId, WaitIdOptions};

use super::super::phase::ProcessExit;
use super::super::signal::Signal;

/// A number as the system wants it.
pub(super) fn number(pid: i32) -> io::Result<Pid> {
    Pid::from_raw(pid).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
}

/// How a child has ended, if it has. It stays a zombie: its number stays taken, so that no late signal can meet a stranger.
pub(super) fn peek(pid: Pid) -> io::Result<Option<ProcessExit>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let status = rustix::process::waitid(WaitId::Pid(pid), options)?;
    Ok(status.map(|status| {
        let signal = status.terminating_signal().and_then(Signal::from_number);
        match (status.exit_status(), signal) {
            (_, Some(signal)) => ProcessExit::Signal(signal),
            (Some(status), None) => ProcessExit::Status(status),
            (None, None) => ProcessExit::Status(128 + status.terminating_signal().unwrap_or(0)),
        }
    }))
}

/// The signal that has just stopped a child of ours; told once for each stop.
pub(crate) fn stopped(pid: i32) -> Option<Signal> {
    let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
    let status = rustix::process::waitid(WaitId::Pid(number(pid).ok()?), options).ok().flatten()?;
    status.stopping_signal().and_then(Signal::from_number)
}

/// Takes the status of a child that has ended; does nothing if it has not.
pub(super) fn reap(pid: i32) {
    if let Ok(pid) = number(pid) {
        let _ = rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    }
}
