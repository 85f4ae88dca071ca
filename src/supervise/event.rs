//! What the supervise room is told, and what it tells.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::change::Batch;
use crate::{GenerationId, Remedy};

use super::phase::{Phase, ProcessExit};
use super::signal::Signal;

/// What the supervisor is told from outside.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Request {
    /// Relevant content has changed.
    Changed(Batch),
    /// Restart now, whatever has changed.
    Restart,
    /// The front has nothing in flight on this generation any more.
    Drained(GenerationId),
    /// Changes are remembered, but nothing is restarted until [`Request::Resume`].
    Pause,
    /// Act on changes again, and on those since the pause.
    Resume,
    /// Send the running generation's group a signal.
    Signal(Signal),
    /// Ctrl-Z: `SIGTSTP` for everything that runs, `SIGSTOP` for what does not stop at that. Answered by
    /// [`Event::Suspended`], also if nothing runs.
    Suspend,
    /// The terminal that this process writes to has another size (`SIGWINCH`).
    Resized,
    /// Let everything go on (`SIGCONT`).
    Continue,
    /// Stop gently: the stop signal first, then, after the stop timeout, the kill.
    Stop,
    /// Kill everything at once.
    Kill,
}

/// How the supervisor as a whole ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SupervisorExit {
    /// As asked.
    Asked,
    /// The child ended and [`super::OnExit::Quit`] was set.
    Child(ProcessExit),
    /// The first start was impossible: 127 not found, 126 not executable.
    NotStarted(i32),
}

/// What the supervisor tells.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A generation is in another phase.
    Phase {
        /// Which generation, counted from 1.
        generation: GenerationId,
        /// Its phase.
        phase: Phase,
    },
    /// A restart is due, and begins with building, draining or stopping.
    Restarting {
        /// The generation that will come of it.
        generation: GenerationId,
        /// The changes; `None`: asked for.
        because: Option<Arc<Batch>>,
    },
    /// Processes outlived the stop signal and are killed now.
    Blocked {
        /// The process.
        pid: u32,
        /// Its command line.
        command: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// Restarted by nothing until the next change, with [`super::OnExit::Restart`] after this long.
    Waiting {
        /// Time to the next start; `None`: until the next change.
        backoff: Option<Duration>,
    },
    /// A path changes right after each start, so the child restarts again and again. From now on, restarts for this path
    /// alone are delayed by 0.3 s, doubling with each start up to 30 s.
    Loop {
        /// The absolute path of the file that changed last.
        path: PathBuf,
        /// Its directory, if a file of another name appears or vanishes in it after each start.
        directory: Option<PathBuf>,
        /// Number of starts in a row that were followed by a change.
        times: u32,
    },
    /// There is a reloader inside the child: two supervisors would fight.
    ReloaderInside {
        /// What it is: `werkzeug`, …
        name: String,
        /// How to turn it off.
        remedy: Remedy,
    },
    /// The server listens on a port that it was not given, so that only one generation can have it: generations take turns.
    ListensElsewhere {
        /// Which generation.
        generation: GenerationId,
        /// Where it listens.
        address: std::net::SocketAddr,
    },
    /// Everything that runs is stopped, as asked by [`Request::Suspend`], or the child was stopped from the terminal that it
    /// owns (Ctrl-Z): the program may stop itself now.
    Suspended,
    /// Something the developer should know.
    Warning {
        /// What is the matter.
        message: String,
        /// What the user can do about it.
        remedy: Remedy,
    },
    /// The supervisor has ended; nothing of any tree lives.
    Ended(SupervisorExit),
}
