//! The inputs of the state machine, and the actions that follow from them: plain data.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::change::Batch;
use crate::supervise::event::{Event, ExitReport, Request, SupervisorExit};
use crate::supervise::signal::Signal;
use crate::supervise::sockets::Endpoint;
use crate::supervise::sys::pid::Pid;
use crate::{GenerationId, Remedy};

/// An event that the state machine decides about.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// The supervisor begins.
    Begin,
    /// The owner asks for something. The executor performs [`Request::Suspend`], [`Request::Resized`],
    /// [`Request::Continue`] and [`Request::Input`]; they change nothing here.
    Request(Request),
    /// The builds of a generation have ended or were cancelled, and none of their processes runs.
    Built { generation: GenerationId, failure: Option<ExitReport> },
    /// The process of a generation runs.
    Spawned { generation: GenerationId, pid: u32 },
    /// The process of a generation could not be started.
    SpawnFailed { generation: GenerationId, report: ExitReport },
    /// A generation serves.
    Ready { generation: GenerationId, address: Option<SocketAddr> },
    /// A generation serves, but on another port or socket than the one it was given. `address` leads to `endpoint`.
    ListensElsewhere { generation: GenerationId, address: SocketAddr, endpoint: Endpoint },
    /// The answer to [`Action::DiagnoseReadiness`]: the reason, its remedy, and the last output.
    NotReady { generation: GenerationId, message: String, remedy: Remedy, output: Vec<u8> },
    /// A generation that starts cannot do so beside the older generation `holder`, as its output says with
    /// `words`. `address`: the port that it needs and `holder` has, if it needs a port.
    Conflict { generation: GenerationId, holder: GenerationId, address: Option<SocketAddr>, words: String },
    /// The leader of a generation could not bind `port`. No process listens there, but connections that an earlier
    /// process has closed keep the port for a while. The [`Input::LeaderExited`] of this leader follows.
    PortLingers { generation: GenerationId, port: u16 },
    /// The leader of a generation has ended. Other processes of its tree may still run.
    LeaderExited { generation: GenerationId, report: ExitReport },
    /// A process of a generation or of its builds runs as another user, so it cannot be signalled.
    SignalRefused { generation: GenerationId, pid: Pid, user: String, command: String },
    /// The last process of a generation has ended.
    TreeGone { generation: GenerationId },
    /// A deadline may have passed.
    TimePassed,
}

/// The processes of a generation that get a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignalTarget {
    /// The whole tree, which has to end.
    Tree,
    /// The first process of the tree, which has to end.
    Leader,
    /// All processes of the tree but the first. They have to end.
    Rest,
    /// The process group of the leader. The signal may mean anything.
    Group,
}

/// A task for the executor.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    /// Run the builds of this generation, and report [`Input::Built`].
    Build { generation: GenerationId, because: Option<Arc<Batch>> },
    /// Ask the running builds to end. [`Input::Built`] still follows.
    StopBuilds,
    /// Kill the running builds. [`Input::Built`] still follows.
    KillBuilds,
    /// Start the process of this generation, and report [`Input::Spawned`] or [`Input::SpawnFailed`].
    Spawn { generation: GenerationId, because: Option<Arc<Batch>> },
    /// Find out why a generation is not ready, and report [`Input::NotReady`].
    DiagnoseReadiness { generation: GenerationId },
    /// Send processes of a generation a signal. [`Input::TreeGone`] follows once none of its processes runs.
    Signal { generation: GenerationId, target: SignalTarget, signal: Signal },
    /// Kill the whole process tree, and report the processes that ignored the stop signal for `waited`.
    KillTree { generation: GenerationId, waited: Duration },
    /// Forget a process tree that SIGKILL does not end, and warn about it.
    Abandon { generation: GenerationId },
    /// Send this event to the owner.
    Emit(Event),
    /// End the supervisor. No action follows.
    Finish(SupervisorExit),
}
