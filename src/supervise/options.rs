//! The options of a supervisor: plain data.

use std::net::SocketAddr;
use std::time::Duration;

use super::command::Command;
use super::orphan_killer::OrphanKiller;
use super::output::{Capture, OutputLog, OutputStreams};
use super::process::Subreaper;
use super::signal::Signal;
use super::sockets::{Listen, PassSocket};

/// What a change does while the command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnBusy {
    /// Restarts the command.
    #[default]
    Restart,
    /// Starts the command again after it has ended by itself.
    Queue,
    /// Sends the command the stop signal, and does nothing else.
    Signal,
    /// Has no effect.
    Ignore,
}

/// What follows when the command ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnExit {
    /// The supervisor waits for the next change.
    #[default]
    Wait,
    /// The command starts again after 0.1 s, doubling up to 10 s. A command that ran for 10 s resets the
    /// delay.
    Restart,
    /// The supervisor ends, with the exit status of the command.
    Quit,
}

/// Which processes get the stop signal first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum StopScope {
    /// The leader: the process that was started. The other processes of its tree get the signal when the leader
    /// has ended, or after half of the stop timeout.
    #[default]
    Leader,
    /// Every process of the tree at once, as for Ctrl-C on a terminal.
    Group,
}

/// What happens if a path changes right after each start, so that the child restarts again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnLoop {
    /// Name the path with [`super::Event::RestartLoop`], and delay the restarts for it alone: by 0.3 s,
    /// doubling with each start up to 30 s. Changes of other paths restart at once. An edit of the path at
    /// another moment after a start restarts at once too and resets the delay.
    #[default]
    Warn,
    /// Restart at once each time, and name no path.
    Restart,
}

/// Where the server of a generation listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Port {
    /// At no address that matters, because there is no proxy.
    #[default]
    None,
    /// On a free loopback port, which the generation finds in `$PORT` and `{port}`. On Linux, a server that
    /// listens on another port is found by the sockets of its process tree. Generations then take turns.
    Own,
    /// On a socket that only this generation inherits, as [`PassSocket`] says.
    Inherited,
    /// Always at this address, so generations take turns.
    Fixed(SocketAddr),
}

/// When a generation counts as ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// A path that must answer a GET request with a status below 500. Without a path, a generation is ready
    /// when a process waits for connections on its port or on the inherited socket, or at once if it has
    /// neither.
    pub path: Option<String>,
    /// Time after which a generation that is not ready has failed, if an older one serves. Without an older
    /// one it is reported with [`super::Event::Warning`] and goes on.
    pub timeout: Duration,
}

/// The options of a supervisor.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The command to run.
    pub command: Command,
    /// Commands that run in this order before each start, while the old generation serves. If one fails, the
    /// old generation stays.
    pub builds: Vec<Command>,
    /// What a change does while the command runs.
    pub on_busy: OnBusy,
    /// What follows when the command ends by itself.
    pub on_exit: OnExit,
    /// What happens if a path changes right after each start.
    pub on_loop: OnLoop,
    /// The signal that asks the process tree to end.
    pub stop_signal: Signal,
    /// Which processes get that signal first.
    pub stop_scope: StopScope,
    /// Time from the stop signal to SIGKILL.
    pub stop_timeout: Duration,
    /// Wait for the first change before the first start.
    pub postpone: bool,
    /// Sockets that are opened once, and that every generation inherits.
    pub listen: Vec<Listen>,
    /// How a generation learns of the sockets that it inherits.
    pub pass_socket: PassSocket,
    /// Where the server of a generation listens.
    pub port: Port,
    /// When a generation counts as ready.
    pub ready: Ready,
    /// Start the new generation while the old one serves. This has an effect with own ports and inherited
    /// sockets.
    pub overlap: bool,
    /// Maximum time to wait for [`super::Request::Drained`] before an old generation is stopped. `None` stops
    /// it at once.
    pub drain_timeout: Option<Duration>,
    /// Which output of the child goes through this process, which passes it on and keeps its end for reports.
    pub capture: Capture,
    /// The writer of captured output; `None` for one of the supervisor's own. If the owner writes through it
    /// too, lines do not mix.
    pub streams: Option<OutputStreams>,
    /// Keeps the captured output of the child and of its builds. `None`: only the end of it is kept, for reports.
    pub log: Option<OutputLog>,
    /// Whether this process adopts orphans of the process trees.
    pub subreaper: Subreaper,
    /// Let the kernel kill the child when the thread that started it ends (Linux `PR_SET_PDEATHSIG`). Set
    /// this only if the thread that polls the supervisor lives as long as the process.
    pub parent_death_signal: bool,
    /// Soft limit of open files for the child; `None` for that of this process. A process that has raised its
    /// own limit sets this, because programs that use `select(2)` expect the usual limit.
    pub open_files: Option<u64>,
    /// The process that kills what runs if this process ends without having stopped the supervisor, for
    /// example by a signal. The default is one for this supervisor. [`OrphanKiller`] says what is guaranteed.
    /// `None` opts out: the process tree may then survive.
    pub orphan_killer: Option<OrphanKiller>,
}

impl Options {
    /// Whether two generations can serve at the same time.
    pub(super) fn can_overlap(&self) -> bool {
        match self.port {
            Port::Own | Port::Inherited => true,
            Port::Fixed(_) => false,
            Port::None => !self.listen.is_empty(),
        }
    }

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
            stop_scope: StopScope::default(),
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
            log: None,
            subreaper: Subreaper::default(),
            parent_death_signal: false,
            open_files: None,
            orphan_killer: Some(OrphanKiller::default()),
        }
    }
}
