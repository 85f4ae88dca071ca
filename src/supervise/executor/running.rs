//! A process that was started, and what belongs to it as long as its tree lives.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::AbortHandle;

use crate::Remedy;
use crate::change::Batch;

use crate::GenerationId;
use crate::supervise::output::ChildOutput;
use crate::supervise::phase::{ExitReport, ProcessExit};
use crate::supervise::poll_timer::PollTimer;
use crate::supervise::process::{ProcessTrees, TreeId};
use crate::supervise::readiness::SocketProbe;
use crate::supervise::sockets::InheritedListener;

/// What happens outside, told by the small tasks beside the loop.
#[derive(Debug)]
pub(crate) enum ProcessEvent {
    /// The leader of this tree has ended.
    Ended { tree: TreeId, ended: ProcessExit },
    /// The output says that werkzeug's reloader is at work.
    Reloader,
    /// A generation serves.
    Ready { generation: GenerationId, address: Option<SocketAddr> },
}

/// A generation's process.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) tree: TreeId,
    pub(super) pid: i32,
    pub(super) began: Instant,
    pub(super) output: Option<ChildOutput>,
    /// Open as long as the process may read from it.
    pub(super) _stdin: Option<OwnedFd>,
    /// Its own inherited socket: closed with the generation, so that no client waits in a queue that nobody serves.
    pub(super) socket: Option<InheritedListener>,
    /// The port that it was told to listen on.
    pub(super) port: Option<u16>,
    pub(super) watchers: Vec<AbortHandle>,
    pub(super) probe: Option<SocketProbe>,
    pub(super) leader_ended: bool,
    /// It was killed: whoever still turns up is killed too.
    pub(super) killed: bool,
    pub(super) look: PollTimer,
}

impl Running {
    /// It may have connections to finish, if not to accept.
    pub(super) fn serves(&self) -> bool {
        !self.leader_ended && !self.killed
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.watchers.iter().for_each(AbortHandle::abort);
    }
}

/// The builds of one generation, one at a time.
#[derive(Debug)]
pub(super) struct Builds {
    pub(super) generation: GenerationId,
    pub(super) because: Option<Arc<Batch>>,
    /// Which of them runs.
    pub(super) at: usize,
    pub(super) cancelled: bool,
    pub(super) run: Running,
}

pub(super) fn is_gone(trees: &mut ProcessTrees, run: &mut Running, now: Instant) -> bool {
    if trees.members(run.tree).is_empty() {
        return true;
    }
    if run.killed {
        trees.kill(run.tree);
    }
    run.look.schedule_next(now);
    false
}

pub(super) fn report(run: &Running, ended: ProcessExit, now: Instant) -> ExitReport {
    if let Some(output) = &run.output {
        output.catch_up();
    }
    ExitReport {
        ended,
        ran: now.saturating_duration_since(run.began),
        message: None,
        remedy: Remedy::None,
        output: run.output.as_ref().map(ChildOutput::tail).unwrap_or_default(),
    }
}
