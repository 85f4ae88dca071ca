//! The reports of the tasks that wait for processes, ports and output.

use std::net::SocketAddr;

use crate::GenerationId;
use crate::supervise::phase::ProcessExit;
use crate::supervise::process::TreeId;

/// An event of a process, reported to the loop of the supervisor.
#[derive(Debug)]
pub(crate) enum ProcessEvent {
    /// The leader of a tree has ended.
    LeaderEnded { tree: TreeId, exit: ProcessExit },
    /// A generation prints that werkzeug's reloader runs in it.
    ReloaderSeen,
    /// A generation accepts connections, or answers on its readiness path.
    Ready { generation: GenerationId, address: SocketAddr },
}
