//! The phases of a generation, and how processes end.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::Remedy;

use super::signal::Signal;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProcessExit {
    /// By itself, with this exit status.
    Status(i32),
    /// By this signal.
    Signal(Signal),
    /// It was never started, for the reason in the report. The status is that of a shell: 127 if the program
    /// was not found, 126 if it is not executable, 2 if an environment file cannot be used.
    NotStarted(i32),
    /// It was not ready in time. The supervisor stops it for that.
    NotReady,
}

/// Whether this exit is how werkzeug asks the process that runs it for a restart.
pub(super) fn werkzeug_wants_restart(exit: ProcessExit) -> bool {
    exit == ProcessExit::Status(3)
}

impl fmt::Display for ProcessExit {
    /// `exited with status 1`, `was killed by SIGSEGV`, `could not be started (127)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "exited with status {status}"),
            Self::Signal(signal) => write!(f, "was killed by {signal}"),
            Self::NotStarted(status) => write!(f, "could not be started ({status})"),
            Self::NotReady => f.write_str("was not ready in time"),
        }
    }
}

/// How a generation or a build ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExitReport {
    /// How the process ended.
    pub ended: ProcessExit,
    /// Time since its start.
    pub ran: Duration,
    /// One sentence about the end: `cannot run app.py: its interpreter /usr/bin/python9 does not exist`.
    pub message: Option<String>,
    /// What the user can do about the end.
    pub remedy: Remedy,
    /// The last 64 KiB that the process wrote to stdout and stderr, if these were captured.
    pub output: Vec<u8>,
}

/// How far a generation has come.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Its builds run. The old generation continues to serve.
    Building,
    /// A build failed, or an environment file cannot be used, so this generation does not start. The old
    /// generation continues to serve.
    BuildFailed(ExitReport),
    /// Its process runs, and is not ready yet.
    Starting {
        /// The process ID.
        pid: u32,
    },
    /// It serves.
    Ready {
        /// The address for new requests, if it is known.
        address: Option<SocketAddr>,
    },
    /// It finishes the requests in flight and gets no new ones, because the next generation is ready or due.
    Draining,
    /// It got the stop signal.
    Stopping,
    /// The last process of its tree has ended, as asked.
    Stopped,
    /// It ended by itself after it was ready.
    Exited(ExitReport),
    /// It ended before it was ready, or was not ready in time.
    Failed(ExitReport),
}
