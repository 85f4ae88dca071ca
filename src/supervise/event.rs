//! The requests that a supervisor gets, and the events that it sends: plain data.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::change::Batch;
use crate::{GenerationId, Remedy, SyncId};

use super::inner_reloader::InnerReloader;
use super::output::without_escapes;
use super::signal::Signal;
use super::sockets::Endpoint;

/// What the owner asks of a supervisor.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Request {
    /// Watched paths have changed.
    Changed(Batch),
    /// Restart now, even without a change.
    Restart,
    /// The proxy has no request in flight on this generation any more.
    Drained(GenerationId),
    /// Remember changes, but restart for none of them until [`Request::Resume`].
    Pause,
    /// Restart for changes again. Changes since the pause count too.
    Resume,
    /// Answer once with [`Event::Settled`], when every change and restart that was requested before is decided.
    ///
    /// That is: the newest generation that includes them, or a later one, is ready, has failed or has ended. With nothing
    /// pending, the answer comes at once. After a generation that ended, its outcome is given again, unless
    /// [`super::OnExit::Restart`] starts the next one: the answer waits for that.
    /// - If newer changes replace a generation before it is ready, the answer waits for its successor.
    /// - A generation that goes on although it is not ready in time is not decided.
    /// - A change that [`super::OnBusy`] ignores or answers with a signal starts no generation, so the running one counts.
    /// - A change that waits for the end of a delay, or of the running generation, is not decided.
    ///
    /// No answer follows [`Event::Ended`].
    Settle(SyncId),
    /// Give no answer to [`Request::Settle`] with this number any more.
    Forget(SyncId),
    /// Stop the command gently, after its requests in flight if these are drained. Changes are remembered, but nothing
    /// starts until [`Request::Start`] or [`Request::Restart`]. [`Event::Halted`] follows once nothing runs.
    Halt,
    /// Start the command if it does not run: because it is halted, has ended, or was not started yet.
    Start,
    /// Send the process group of the running generation a signal.
    Signal(Signal),
    /// Stop all processes as Ctrl-Z does: by `SIGTSTP`, then `SIGSTOP` for those that still run.
    /// [`Event::Suspended`] follows, even if no process runs.
    Suspend,
    /// Write to the standard input of a generation that runs, if that is [`super::Stdin::Pipe`]. What the child has not
    /// read is limited by the pipe, to 64 KiB on Linux; more is dropped.
    Input {
        /// The generation.
        generation: GenerationId,
        /// The input.
        bytes: Vec<u8>,
    },
    /// The terminal that this process writes to has another size (`SIGWINCH`).
    Resized,
    /// Continue all processes (`SIGCONT`).
    Continue,
    /// Stop gently: by the stop signal, and by `SIGKILL` after the stop timeout.
    Stop,
    /// Kill everything at once.
    Kill,
}

/// How a supervisor ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SupervisorExit {
    /// By [`Request::Stop`] or [`Request::Kill`].
    Asked,
    /// Because the child ended, with [`super::OnExit::Quit`].
    Child(ProcessExit),
    /// Because the first start failed, with the exit status of a shell: 127 if the program was not found, 126
    /// if it is not executable, 2 if an environment file cannot be used or a limit of the system is reached.
    NotStarted(i32),
}

/// What became of the changes and requests before a [`Request::Settle`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// A generation that includes them is ready.
    Ready {
        /// The generation.
        generation: GenerationId,
    },
    /// The generation that includes them was not built, or ended before it was ready, or was not ready in time.
    Failed {
        /// The generation.
        generation: GenerationId,
        /// How it ended, or its build.
        report: ExitReport,
    },
    /// The generation that includes them was ready, has ended by itself, and nothing runs since.
    Ended {
        /// The generation.
        generation: GenerationId,
        /// How it ended.
        report: ExitReport,
    },
    /// Changes wait for [`Request::Resume`].
    Paused,
    /// [`Request::Halt`] stops the command or has stopped it.
    Halted,
    /// Nothing was started yet, because of [`super::Options::postpone`].
    NotStarted,
    /// The supervisor stops.
    Stopping,
}

impl Outcome {
    /// Whether a generation serves that includes everything from before.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Ready { .. })
    }
}

/// What a supervisor reports.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A generation is in another phase.
    Phase {
        /// The generation.
        generation: GenerationId,
        /// Its new phase.
        phase: Phase,
    },
    /// A restart begins: with builds, with draining, or with a stop.
    Restarting {
        /// The generation that will start.
        generation: GenerationId,
        /// The changes that cause the restart; `None` if it was asked for.
        because: Option<Arc<Batch>>,
    },
    /// A process ignored the stop signal, and is killed now.
    Blocked {
        /// The process.
        pid: u32,
        /// Its command line.
        command: String,
        /// Time since the stop signal.
        waited: Duration,
    },
    /// The child has ended and does not run.
    Waiting {
        /// Delay before the next start with [`super::OnExit::Restart`]; `None` if only a change starts the
        /// child again.
        backoff: Option<Duration>,
    },
    /// A path changes right after each start, so the child restarts again and again. From now on, restarts
    /// for this path alone are delayed by 0.3 s, doubling with each start up to 30 s.
    RestartLoop {
        /// The absolute path of the file that changed last.
        path: PathBuf,
        /// Its directory, if a file of another name appears or vanishes in it after each start.
        directory: Option<PathBuf>,
        /// Number of starts in a row that were followed by a change.
        times: u32,
    },
    /// A reloader inside the child acts on edits as well.
    ReloaderInside(InnerReloader),
    /// The server listens on another port than the one it was given, or on a Unix socket. Only one generation can
    /// have that, so generations take turns from now on.
    ListensElsewhere {
        /// The generation that listens there.
        generation: GenerationId,
        /// Where it listens.
        endpoint: Endpoint,
    },
    /// A generation needs what an older one has, such as a lock or a second port. It is stopped and started again
    /// when the old one is gone, and generations take turns from now on.
    TakesTurns {
        /// The generation that cannot run beside the older one.
        generation: GenerationId,
        /// The older generation.
        holder: GenerationId,
        /// The port that both need, if it is one.
        address: Option<SocketAddr>,
        /// The line of the generation's output that says so.
        words: String,
    },
    /// All processes are stopped: by [`Request::Suspend`], or by Ctrl-Z on the terminal that the child owns.
    /// The program may stop itself now.
    Suspended,
    /// [`Request::Pause`] is in effect.
    Paused,
    /// [`Request::Resume`] is in effect.
    Resumed,
    /// [`Request::Halt`] begins to stop the command. [`Event::Halted`] follows, unless a start is requested before.
    Halting,
    /// Nothing runs any more after [`Request::Halt`].
    Halted,
    /// The answer to [`Request::Settle`].
    Settled {
        /// The number of the request.
        id: SyncId,
        /// What became of everything from before.
        outcome: Outcome,
    },
    /// A problem that the user should know of.
    Warning {
        /// One sentence about the problem.
        message: String,
        /// What the user can do about it.
        remedy: Remedy,
    },
    /// The supervisor has ended, and none of its processes is left. The last event.
    Ended(SupervisorExit),
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProcessExit {
    /// By itself, with this exit status.
    Status(i32),
    /// By itself, with this exit status, at most a second after Ctrl-C on the terminal that it had.
    Interrupted(i32),
    /// By this signal.
    Signal(Signal),
    /// It was never started, for the reason in the report. The status is that of a shell: 127 if the program
    /// was not found, 126 if it is not executable, 2 if an environment file cannot be used or a limit of the
    /// system is reached.
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
            Self::Interrupted(status) => write!(f, "ended at Ctrl-C with status {status}"),
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

impl ExitReport {
    /// The last lines of the output, at most `limit`, without escape sequences, blank lines and trailing blanks.
    #[must_use]
    pub fn last_lines(&self, limit: usize) -> Vec<String> {
        let text = without_escapes(&String::from_utf8_lossy(&self.output));
        let lines: Vec<_> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        let skipped = lines.len().saturating_sub(limit);
        lines.into_iter().skip(skipped).map(str::to_owned).collect()
    }
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
    /// It finishes the requests in flight, because the next generation is ready or due.
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
