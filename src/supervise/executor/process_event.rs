//! What the tokio tasks beside the supervisor's loop report to it.

use std::net::SocketAddr;

use crate::GenerationId;
use crate::supervise::phase::ProcessExit;
use crate::supervise::process::TreeId;

/// Something that happened to a process.
#[derive(Debug)]
pub(crate) enum ProcessEvent {
    /// The leader of a tree has ended.
    LeaderEnded { tree: TreeId, exit: ProcessExit },
    /// A generation prints that werkzeug's reloader runs in it.
    ReloaderSeen,
    /// A generation accepts connections, or answers on its readiness path.
    Ready { generation: GenerationId, address: SocketAddr },
}
