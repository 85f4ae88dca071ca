//! What the machine is told, and what it answers: inputs and actions. Plain data.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::change::Batch;

use super::event::{Event, SupervisorExit};
use super::phase::ExitReport;
use super::signal::Signal;

/// What the machine is told.
#[derive(Debug, Clone)]
pub(super) enum Input {
    /// Supervising begins.
    Begin,
    /// Relevant content has changed.
    Changed(Batch),
    /// Restart now.
    Restart,
    /// Nothing is in flight on this generation any more.
    Drained(u64),
    /// Remember changes, act on none.
    Pause,
    /// Act on changes again.
    Resume,
    /// Pass a signal on to the serving generation.
    Deliver(Signal),
    /// Stop gently.
    Stop,
    /// Kill everything.
    Kill,
    /// The builds of a generation are over, by themselves or cancelled, and nothing of them runs.
    Built { generation: u64, failure: Option<ExitReport> },
    /// Its process runs.
    Spawned { generation: u64, pid: u32 },
    /// Its process could not be started.
    NotSpawned { generation: u64, report: ExitReport },
    /// It serves.
    Ready { generation: u64, address: Option<SocketAddr> },
    /// It serves, but not where it was told to.
    Elsewhere { generation: u64, address: SocketAddr },
    /// Its leader has ended because an older generation, `holder`, has this address.
    InTheWay { generation: u64, holder: u64, address: SocketAddr },
    /// Its leader has ended; others of its tree may live.
    Exited { generation: u64, report: ExitReport },
    /// Nothing of its tree lives.
    Gone { generation: u64 },
    /// A deadline may have passed.
    Time,
}

/// What is to be done.
#[derive(Debug, Clone)]
pub(super) enum Action {
    /// Run the builds of this generation, answer with [`Input::Built`].
    Build { generation: u64, because: Option<Arc<Batch>> },
    /// Stop the running builds; [`Input::Built`] is still awaited.
    CancelBuild { kill: bool },
    /// Start its process, answer with [`Input::Spawned`] or [`Input::NotSpawned`].
    Spawn { generation: u64, because: Option<Arc<Batch>> },
    /// Send its whole tree a signal, and report [`Input::Gone`] once nothing of it lives.
    Signal { generation: u64, signal: Signal },
    /// Send its process group a signal; no stop.
    Deliver { generation: u64, signal: Signal },
    /// Kill its whole tree and name who is left; `waited` since the stop signal.
    Kill { generation: u64, waited: Duration },
    /// It cannot be killed: say so, and forget it.
    Abandon { generation: u64 },
    /// Tell the world.
    Tell(Event),
    /// Over.
    End(SupervisorExit),
}
