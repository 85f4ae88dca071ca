//! How the child is run: plain data.

use std::net::SocketAddr;
use std::time::Duration;

use super::command::Command;
use super::orphan_killer::OrphanKiller;
use super::output::{Capture, OutputStreams};
use super::process::Subreaper;
use super::signal::Signal;
use super::sockets::{Listen, PassSocket};

/// What a change does while COMMAND runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnBusy {
    /// Restart it.
    #[default]
    Restart,
    /// Start it again once it has ended by itself.
    Queue,
    /// Send it the stop signal and leave the rest to it.
    Signal,
    /// Nothing.
    Ignore,
}

/// What happens when COMMAND ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnExit {
    /// Wait for the next change.
    #[default]
    Wait,
    /// Start it again, after 0.1 s doubling to 10 s; back to 0.1 s once it was up for 10 s.
    Restart,
    /// End, with its exit status.
    Quit,
}

/// What happens if a path changes right after each start, so that the child restarts again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnLoop {
    /// Name the path with [`super::Event::Loop`], and delay the restarts for it alone: by 0.3 s, doubling with each start
    /// up to 30 s. Changes of other paths restart at once. An edit of the path later than 3 s after a start, and later than
    /// 3 s after its last change, restarts at once too and resets the delay.
    #[default]
    Warn,
    /// Restart at once each time, and name no path.
    Restart,
}

/// Where a generation's server can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Port {
    /// Nobody asks: there is no front.
    #[default]
    None,
    /// Each generation gets a free loopback port of its own, in `$PORT` and `{port}`. One that listens elsewhere is found by
    /// the sockets of its process tree (Linux), and generations then take turns.
    Own,
    /// Each generation inherits a listening socket of its own, handed over as [`PassSocket`] says.
    Inherited,
    /// The server listens there, always; generations take turns.
    Fixed(SocketAddr),
}

/// When a generation counts as ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// Ready when `GET path` answers below 500. `None`: when the port accepts (or, with an inherited socket, when the process
    /// waits on it; without any socket, at once).
    pub path: Option<String>,
    /// A generation not ready by then has failed.
    pub timeout: Duration,
}

/// How the child is run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// What is run.
    pub command: Command,
    /// Run in this order before each start, while the old generation goes on; a failure keeps the old one.
    pub builds: Vec<Command>,
    /// What a change does while COMMAND runs.
    pub on_busy: OnBusy,
    /// What happens when COMMAND ends by itself.
    pub on_exit: OnExit,
    /// What happens to a path that restarts the child again and again.
    pub on_loop: OnLoop,
    /// The first signal of a stop.
    pub stop_signal: Signal,
    /// How long the tree has to end before it is killed.
    pub stop_timeout: Duration,
    /// Start at the first change, not at once.
    pub postpone: bool,
    /// Sockets opened once and handed to every generation.
    pub listen: Vec<Listen>,
    /// How they are handed over.
    pub pass_socket: PassSocket,
    /// Where a generation's server can be reached.
    pub port: Port,
    /// When a generation counts as ready.
    pub ready: Ready,
    /// Start the new generation beside the old one where that is possible: own ports or inherited sockets.
    pub overlap: bool,
    /// Wait for [`super::Request::Drained`] before an old generation is stopped, at most this long. `None`: nobody drains, stop
    /// at once.
    pub drain_timeout: Option<Duration>,
    /// What of the child's output is taken, passed on, and kept for reports.
    pub capture: Capture,
    /// What writes it; `None`: something of the supervisor's own. The owner may speak through it too, so that lines do not mix.
    pub streams: Option<OutputStreams>,
    /// Whether orphans are adopted.
    pub subreaper: Subreaper,
    /// Let the kernel kill the child when the thread that started it ends (Linux `PR_SET_PDEATHSIG`). Only for
    /// callers that poll the session on a thread which lives as long as the process.
    pub parent_death_signal: bool,
    /// How many files what is started may have open (the soft limit), for a process that has raised its own: programs that
    /// use `select(2)` or go through all numbers expect the usual one. `None`: as many as this process.
    pub open_files: Option<u64>,
    /// The process that kills what runs if this process is killed by `SIGKILL`. `None`: then the process tree may survive.
    pub orphan_killer: Option<OrphanKiller>,
}

impl Options {
    /// The defaults for a command.
    #[must_use]
    pub fn new(command: Command) -> Self {
        Self {
            command,
            builds: Vec::new(),
            on_busy: OnBusy::default(),
            on_exit: OnExit::default(),
            on_loop: OnLoop::default(),
            stop_signal: Signal::TERM,
            stop_timeout: Duration::from_secs(10),
            postpone: false,
            listen: Vec::new(),
            pass_socket: PassSocket::default(),
            port: Port::default(),
            ready: Ready { path: None, timeout: Duration::from_secs(60) },
            overlap: true,
            drain_timeout: None,
            capture: Capture::default(),
            streams: None,
            subreaper: Subreaper::default(),
            parent_death_signal: false,
            open_files: None,
            orphan_killer: None,
        }
    }
}
