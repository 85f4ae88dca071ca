//! Inputs and actions of the state machine: plain data.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::change::Batch;
use crate::supervise::event::{Event, SupervisorExit};
use crate::supervise::phase::ExitReport;
use crate::supervise::signal::Signal;
use crate::{GenerationId, Remedy};

/// An event that the state machine decides about.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// The supervisor begins.
    Begin,
    /// Watched paths have changed.
    Changed(Batch),
    /// The owner asks for a restart.
    Restart,
    /// The proxy has no request in flight on this generation any more.
    Drained(GenerationId),
    /// From now on, changes are remembered but restart nothing.
    Pause,
    /// Changes restart again.
    Resume,
    /// The owner sends the serving generation a signal.
    SendSignal(Signal),
    /// The owner asks for a stop.
    Stop,
    /// The owner asks to kill everything.
    Kill,
    /// The builds of a generation have ended or were cancelled, and none of their processes runs.
    Built { generation: GenerationId, failure: Option<ExitReport> },
    /// The process of a generation runs.
    Spawned { generation: GenerationId, pid: u32 },
    /// The process of a generation could not be started.
    SpawnFailed { generation: GenerationId, report: ExitReport },
    /// A generation serves.
    Ready { generation: GenerationId, address: Option<SocketAddr> },
    /// A generation serves, but on another port than the one it was given.
    ListensElsewhere { generation: GenerationId, address: SocketAddr },
    /// The answer to [`Action::DiagnoseReadiness`]: the condition that was not met, and the last output.
    NotReady { generation: GenerationId, condition: ReadyCondition, output: Vec<u8> },
    /// The leader of a generation could not bind `address`, because the older generation `holder` has it. The
    /// [`Input::LeaderExited`] of this leader follows.
    PortConflict { generation: GenerationId, holder: GenerationId, address: SocketAddr },
    /// The leader of a generation has ended. Other processes of its tree may still run.
    LeaderExited { generation: GenerationId, report: ExitReport },
    /// The last process of a generation has ended.
    TreeGone { generation: GenerationId },
    /// A deadline may have passed.
    TimePassed,
}

/// The condition for a generation to be ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReadyCondition {
    /// A process of its tree accepts on the inherited socket.
    AcceptsOnSocket,
    /// Its readiness path answers.
    Answers,
    /// It serves on this port. `found` are the addresses that its tree listens on, if that is none of them.
    ListensOnPort { port: u16, found: Vec<String> },
}

impl ReadyCondition {
    /// Why a generation is not ready, and what to do about it.
    pub(super) fn failure(&self, timeout: Duration) -> (String, Remedy) {
        let after = timeout.as_secs_f32();
        match self {
            Self::AcceptsOnSocket => {
                (format!("not accepting on the socket it was given after {after} s"), Remedy::AllowMoreTime)
            }
            Self::ListensOnPort { port, found } if !found.is_empty() => {
                let found = found.join(", ");
                let message = format!("not ready after {after} s: it listens on {found}, not on port {port}");
                (message, Remedy::ListenOnPort)
            }
            Self::Answers | Self::ListensOnPort { .. } => {
                (format!("not ready after {after} s"), Remedy::AllowMoreTime)
            }
        }
    }
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
    /// Send the whole process tree this signal, and report [`Input::TreeGone`] once none of its processes
    /// runs.
    StopTree { generation: GenerationId, signal: Signal },
    /// Send the first process of the tree this signal.
    SignalLeader { generation: GenerationId, signal: Signal },
    /// Send all processes of the tree but the first this signal.
    SignalRest { generation: GenerationId, signal: Signal },
    /// Send the process group of the generation a signal that does not mean a stop.
    SignalGroup { generation: GenerationId, signal: Signal },
    /// Kill the whole process tree, and report the processes that ignored the stop signal for `waited`.
    KillTree { generation: GenerationId, waited: Duration },
    /// Forget a process tree that SIGKILL does not end, and warn about it.
    Abandon { generation: GenerationId },
    /// Send this event to the owner.
    Emit(Event),
    /// End the supervisor. No action follows.
    Finish(SupervisorExit),
}
