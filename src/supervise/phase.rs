//! What the world may see of a generation.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::Remedy;

use super::signal::Signal;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProcessExit {
    /// By itself, with this status.
    Status(i32),
    /// By this signal.
    Signal(Signal),
    /// It could not be started: not found (127), not executable (126) or an environment file that cannot be used (2), with
    /// the reason in the report.
    NotStarted(i32),
    /// Not at all: it was not ready in time, and is being stopped for that.
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

/// How and where a generation or a build ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExitReport {
    /// How it ended.
    pub ended: ProcessExit,
    /// How long it ran.
    pub ran: Duration,
    /// One sentence about it: `cannot run app.py: its interpreter /usr/bin/python9 does not exist`.
    pub message: Option<String>,
    /// What to do about it.
    pub remedy: Remedy,
    /// The last of what it wrote to stdout and stderr, if that was captured; at most 64 KiB.
    pub output: Vec<u8>,
}

impl ExitReport {
    /// The report of a process that was never started: the status that a shell would give, and the reason.
    pub(super) fn not_started(status: i32, message: String, remedy: Remedy) -> Self {
        let ended = ProcessExit::NotStarted(status);
        Self { ended, ran: Duration::ZERO, message: Some(message), remedy, output: Vec::new() }
    }
}

/// What the world may see of a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Its builds run; the old generation goes on serving.
    Building,
    /// A build failed, or an environment file cannot be used: it will not be started. The old generation, if there is one, goes on serving.
    BuildFailed(ExitReport),
    /// Its process was started.
    Starting {
        /// The process.
        pid: u32,
    },
    /// It serves, at this address if it has one that is known.
    Ready {
        /// Where new requests may go.
        address: Option<SocketAddr>,
    },
    /// A successor is ready, or due: no new requests; those in flight may finish.
    Draining,
    /// It was asked to end.
    Stopping,
    /// It is gone, with its whole tree, as asked.
    Stopped,
    /// It ended by itself after it was ready (or had no readiness to wait for).
    Exited(ExitReport),
    /// It ended, or ran out of time, before it was ready.
    Failed(ExitReport),
}
