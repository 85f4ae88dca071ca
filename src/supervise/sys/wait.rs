//! Exit statuses of children; takes a status only when asked to.

use std::io;
use std::time::Duration;

use rustix::process::{WaitId, WaitIdOptions};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use crate::supervise::event::ProcessExit;
use crate::supervise::signal::Signal;
use crate::supervise::sys::pid::Pid;

/// Delay after which an exit is looked for even without a signal: the signal is a help and no proof.
const EXIT_POLL_DELAY: Duration = Duration::from_secs(1);

/// Waits until a child has ended, and leaves it a zombie: its pid stays in use, so that no late signal can
/// reach another process. [`reap`] ends that.
///
/// A system may have no pidfds: other systems than Linux, kernels before 5.3, gVisor, containers whose seccomp
/// filter is old. `SIGCHLD` tells of exits there, which this process then handles.
pub(crate) async fn wait_for_exit(pid: Pid) -> io::Result<ProcessExit> {
    let pid = valid_pid(pid)?;
    #[cfg(target_os = "linux")]
    match rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::NONBLOCK) {
        Ok(fd) => {
            let fd = super::fd::wait_readable(fd)?;
            loop {
                let mut ready = fd.readable().await?;
                match peek_exit(pid)? {
                    Some(exit) => return Ok(exit),
                    None => ready.clear_ready(),
                }
            }
        }
        Err(error) => tracing::debug!(%error, "no pidfd, waiting for SIGCHLD"),
    }
    let mut child_ended = signal(SignalKind::child())?;
    loop {
        if let Some(exit) = peek_exit(pid)? {
            return Ok(exit);
        }
        let _ = timeout(EXIT_POLL_DELAY, child_ended.recv()).await;
    }
}

/// A pid as the system calls take it; an error for 0.
fn valid_pid(pid: Pid) -> io::Result<rustix::process::Pid> {
    pid.to_rustix().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
}

/// How a child ended; `None` while it runs. It stays a zombie, so that no late signal can reach another
/// process with its pid.
fn peek_exit(pid: rustix::process::Pid) -> io::Result<Option<ProcessExit>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let Some(status) = rustix::process::waitid(WaitId::Pid(pid), options)? else { return Ok(None) };
    let number = status.terminating_signal();
    Ok(Some(match (status.exit_status(), number.and_then(Signal::from_number)) {
        (_, Some(signal)) => ProcessExit::Signal(signal),
        (Some(status), None) => ProcessExit::Status(status),
        // A signal without a name: as a shell reports it.
        (None, None) => ProcessExit::Status(128 + number.unwrap_or(0)),
    }))
}

/// Makes this process the parent of all orphans among its descendants (`PR_SET_CHILD_SUBREAPER`). Does nothing
/// where the system has no such call: orphans go to init there.
pub(crate) fn adopt_orphans() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    // The kernel takes any pid as "yes".
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(())
}

/// Takes the news that a signal has stopped a child; `None` if there is none.
pub(crate) fn take_stop(pid: Pid) -> Option<Signal> {
    let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
    let status = rustix::process::waitid(WaitId::Pid(valid_pid(pid).ok()?), options).ok().flatten()?;
    status.stopping_signal().and_then(Signal::from_number)
}

/// Takes the status of a child that has ended, and returns whether it has.
pub(crate) fn reap(pid: Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let taken = |pid| rustix::process::waitid(WaitId::Pid(pid), options).ok().flatten();
    valid_pid(pid).ok().and_then(taken).is_some()
}

/// Pid of a child that has ended and was not reaped; `None` if there is none.
pub(crate) fn some_zombie() -> Option<Pid> {
    // SAFETY: the memory is initialised, and `waitid` writes nothing else. `WNOWAIT` leaves the status to its
    // owner.
    unsafe {
        let mut found: libc::siginfo_t = std::mem::zeroed();
        let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        let is_found = libc::waitid(libc::P_ALL, 0, &mut found, options) == 0 && found.si_pid() > 0;
        is_found.then(|| Pid::new(found.si_pid()))
    }
}
