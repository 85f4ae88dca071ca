//! A running process tree: its leader, its output, and the poll for its end.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;

use super::tracked_trees::TrackedTrees;
use crate::Remedy;
use crate::supervise::output::ChildOutput;
use crate::supervise::phase::{ExitReport, ProcessExit};
use crate::supervise::poll_timer::PollTimer;
use crate::supervise::process::TreeId;
use crate::supervise::sockets::InheritedListener;

/// The process of a generation, and where it may listen.
#[derive(Debug)]
pub(super) struct Server {
    process: RunningProcess,
    /// A socket that only this generation inherits. It is closed with the generation, so that no client waits
    /// in its queue.
    own_socket: Option<InheritedListener>,
    /// The port that the server has to listen on.
    port: Option<u16>,
}

impl Server {
    pub(super) fn new(
        process: RunningProcess,
        own_socket: Option<InheritedListener>,
        port: Option<u16>,
    ) -> Self {
        Self { process, own_socket, port }
    }

    pub(super) fn process(&self) -> &RunningProcess {
        &self.process
    }

    pub(super) fn process_mut(&mut self) -> &mut RunningProcess {
        &mut self.process
    }

    pub(super) fn port(&self) -> Option<u16> {
        self.port
    }

    pub(super) fn own_socket(&self) -> Option<&InheritedListener> {
        self.own_socket.as_ref()
    }

    /// The address of the socket that only this generation inherits.
    pub(super) fn own_address(&self) -> Option<SocketAddr> {
        self.own_socket.as_ref().and_then(InheritedListener::tcp_address)
    }
}

/// The leader of a process tree. Dropped, it forgets the leader without ending it.
#[derive(Debug)]
pub(super) struct RunningProcess {
    tree: TreeId,
    pid: i32,
    started_at: Instant,
    output: Option<ChildOutput>,
    /// Kept open, so that the process does not read an end of file.
    _stdin: Option<OwnedFd>,
    exit_waiter: AbortHandle,
    leader_ended: bool,
    /// SIGKILL was sent, so processes of the tree that appear later are killed as well.
    killed: bool,
    /// When to look next whether the tree is gone.
    poll_timer: PollTimer,
}

impl RunningProcess {
    pub(super) fn new(
        tree: TreeId,
        pid: i32,
        started_at: Instant,
        output: Option<ChildOutput>,
        stdin: Option<OwnedFd>,
        exit_waiter: AbortHandle,
    ) -> Self {
        let poll_timer = PollTimer::start(started_at);
        Self {
            tree,
            pid,
            started_at,
            output,
            _stdin: stdin,
            exit_waiter,
            leader_ended: false,
            killed: false,
            poll_timer,
        }
    }

    pub(super) fn tree(&self) -> TreeId {
        self.tree
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    /// Time since the start.
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started_at)
    }

    pub(super) fn has_leader(&self) -> bool {
        !self.leader_ended
    }

    /// Whether it may still serve: its leader runs and was not killed.
    pub(super) fn may_serve(&self) -> bool {
        !self.leader_ended && !self.killed
    }

    /// Records the end of the leader, and returns the report about it.
    pub(super) fn leader_ended(
        &mut self,
        exit: ProcessExit,
        trees: &mut TrackedTrees,
        now: Instant,
    ) -> ExitReport {
        self.leader_ended = true;
        trees.leader_ended(self.tree);
        self.poll_timer = PollTimer::start(now);
        self.catch_up_output();
        let output = self.output_tail();
        ExitReport { ended: exit, ran: self.age(now), message: None, remedy: Remedy::None, output }
    }

    /// Records that a stop begins, so the end of the tree is looked for often again.
    pub(super) fn stopping(&mut self, now: Instant) {
        self.poll_timer = PollTimer::start(now);
    }

    /// Records that the tree was killed.
    pub(super) fn killed(&mut self, now: Instant) {
        self.killed = true;
        self.stopping(now);
    }

    /// Looks for the end of the tree at once, because a process has ended.
    pub(super) fn poll_soon(&mut self, now: Instant) {
        if self.leader_ended {
            self.poll_timer.hasten(now);
        }
    }

    /// When to look next whether the tree is gone.
    pub(super) fn next_poll(&self) -> Option<Instant> {
        self.leader_ended.then(|| self.poll_timer.next())
    }

    /// Whether the tree is gone, as far as a look is due.
    pub(super) fn is_gone(&mut self, trees: &mut TrackedTrees, now: Instant) -> bool {
        if !self.leader_ended || !self.poll_timer.is_due(now) {
            return false;
        }
        if trees.members(self.tree).is_empty() {
            return true;
        }
        if self.killed {
            trees.kill(self.tree);
        }
        self.poll_timer.schedule_next(now);
        false
    }

    /// Copies the rest of the output from the pipes.
    pub(super) fn catch_up_output(&self) {
        if let Some(output) = &self.output {
            output.catch_up();
        }
    }

    /// The last of the captured output.
    pub(super) fn output_tail(&self) -> Vec<u8> {
        self.output.as_ref().map(ChildOutput::tail).unwrap_or_default()
    }

    /// Gives the process's own terminal the size of the supervisor's terminal.
    pub(super) fn resize_terminal(&self) {
        if let Some(output) = &self.output {
            output.resize();
        }
    }
}

impl Drop for RunningProcess {
    fn drop(&mut self) {
        self.exit_waiter.abort();
    }
}
