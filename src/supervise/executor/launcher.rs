//! Starts processes, copies their output, and waits for their exit.

use std::io;
use std::time::Instant;

use tokio::sync::mpsc::UnboundedSender;

use super::process_event::ProcessEvent;
use super::running::RunningProcess;
use super::tracked_trees::TrackedTrees;
use crate::GenerationId;
use crate::change::Batch;
use crate::supervise::command::Command;
use crate::supervise::options::Options;
use crate::supervise::output::{Capture, ChildOutput, OutputStreams};
use crate::supervise::process::{ChildProcess, SpawnRequest, StartError, TreeId, wait_for_exit};

/// Starts the processes of a supervisor, with the options that all of them share.
#[derive(Debug)]
pub(super) struct Launcher {
    capture: Capture,
    streams: Option<OutputStreams>,
    die_with_parent: bool,
    open_files: Option<u64>,
    events: UnboundedSender<ProcessEvent>,
}

impl Launcher {
    pub(super) fn new(options: &Options, events: UnboundedSender<ProcessEvent>) -> io::Result<Self> {
        let streams = match &options.streams {
            None if options.capture != Capture::No => Some(OutputStreams::open(false)?),
            given => given.clone(),
        };
        Ok(Self {
            capture: options.capture,
            streams,
            die_with_parent: options.parent_death_signal,
            open_files: options.open_files,
            events,
        })
    }

    /// A request to start a command for a generation. `tag` marks the processes of its tree.
    pub(super) fn request<'a>(
        &'a self,
        command: &'a Command,
        generation: GenerationId,
        because: Option<&'a Batch>,
        tag: (&'static str, String),
    ) -> SpawnRequest<'a> {
        SpawnRequest::new(command, generation, tag)
            .because(because)
            .capture(self.capture, self.streams.as_ref())
            .die_with_parent(self.die_with_parent)
            .open_files(self.open_files)
    }

    /// Starts a process as the leader of `tree`. Calls `started` with the child before the child's output is
    /// read.
    pub(super) fn launch(
        &self,
        request: SpawnRequest<'_>,
        tree: TreeId,
        trees: &mut TrackedTrees,
        started: impl FnOnce(&ChildProcess),
    ) -> Result<RunningProcess, StartError> {
        // Measured before the start: on a busy machine the child may run before this thread continues.
        let started_at = Instant::now();
        let child = request.spawn()?;
        let pid = child.pid();
        started(&child);
        trees.started(tree, pid);
        let (stdin, pipes) = child.into_pipes();
        let captured = self.streams.as_ref().filter(|_| !pipes.is_empty());
        let output = captured.map(|streams| {
            let events = self.events.clone();
            ChildOutput::start(pipes, streams, move || send(&events, ProcessEvent::ReloaderSeen))
        });
        let events = self.events.clone();
        let exit_waiter = tokio::spawn(async move {
            match wait_for_exit(pid).await {
                Ok(exit) => send(&events, ProcessEvent::LeaderEnded { tree, exit }),
                Err(error) => tracing::debug!(pid, %error, "waiting for a child failed"),
            }
        });
        let output = output.and_then(Result::ok);
        Ok(RunningProcess::new(tree, pid, started_at, output, stdin, exit_waiter.abort_handle()))
    }

    /// Waits until all output has been written.
    pub(super) async fn flush_output(&self) {
        if let Some(streams) = &self.streams {
            streams.flushed().await;
        }
    }
}

/// Sends an event. A supervisor that has ended needs none.
fn send(events: &UnboundedSender<ProcessEvent>, event: ProcessEvent) {
    let _ = events.send(event);
}
