//! What comes before a generation serves: builds, the start of its process, and the look-out for its being ready.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::change::Batch;

use super::executor::Hands;
use super::running::{Builds, ProcessEvent, Running};
use crate::GenerationId;
use crate::supervise::command::Command;
use crate::supervise::options::Port;
use crate::supervise::output::ChildOutput;
use crate::supervise::phase::{ExitReport, ProcessExit};
use crate::supervise::poll_timer::PollTimer;
use crate::supervise::process::{
    ChildProcess, SpawnRequest, StartError, TreeId, check_env_files, wait_for_exit,
};
use crate::supervise::readiness::{
    ProbeResult, ProbeTarget, SocketProbe, free_port, loopback, wait_until_ready,
};
use crate::supervise::signal::Signal;
use crate::supervise::sockets::{InheritedListener, ListenerUse};
use crate::supervise::state_machine::Input;

impl Hands {
    /// What every process that this supervisor starts has in common.
    fn request<'a>(
        &'a self,
        command: &'a Command,
        generation: GenerationId,
        because: Option<&'a Batch>,
        tree: TreeId,
    ) -> SpawnRequest<'a> {
        SpawnRequest::new(command, generation, self.trees.tag(tree))
            .because(because)
            .capture(self.options.capture, self.streams.as_ref())
            .die_with_parent(self.options.parent_death_signal)
            .open_files(self.options.open_files)
    }

    pub(super) fn spawn(&mut self, generation: GenerationId, because: Option<Arc<Batch>>) {
        let tree = self.trees.new_tree();
        let (port, socket) = match self.options.port {
            Port::Own => (free_port(), None),
            Port::Inherited => (None, InheritedListener::on_free_port().ok()),
            Port::None | Port::Fixed(_) => (None, None),
        };
        let sockets = socket.iter().chain(self.sockets.iter().map(Arc::as_ref)).collect();
        let is_shared = self.running.values().any(Running::serves);
        let socket_use = if is_shared { ListenerUse::Shared } else { ListenerUse::Exclusive };
        let request = self
            .request(&self.options.command, generation, because.as_deref(), tree)
            .port(port)
            .sockets(sockets, socket_use, self.options.pass_socket)
            .interactive();
        // Before the fork: a busy machine may let the child run before us.
        let began = Instant::now();
        let child = match request.spawn() {
            Ok(child) => child,
            Err(error) => {
                let report = error.into_report();
                return self.inputs.push_back(Input::SpawnFailed { generation, report });
            }
        };
        let pid = child.pid() as u32;
        if child.has_terminal() {
            self.jobs.child_started_with_terminal(child.pid());
        }
        let address = socket.as_ref().and_then(InheritedListener::tcp_address);
        let mut run = self.running(tree, child, socket, began);
        run.port = port;
        self.inputs.push_back(Input::Spawned { generation, pid });
        self.await_ready(generation, port, address, &mut run);
        self.running.insert(generation, run);
    }

    /// A process has begun: its end is awaited, its output read.
    pub(super) fn running(
        &mut self,
        tree: TreeId,
        child: ChildProcess,
        socket: Option<InheritedListener>,
        began: Instant,
    ) -> Running {
        let pid = child.pid();
        self.trees.add(tree, pid);
        self.tell_orphan_killer(Some((tree, pid)));
        let now = Instant::now();
        let (stdin, pipes) = child.into_pipes();
        let captured = self.streams.as_ref().filter(|_| !pipes.is_empty());
        let output = captured.map(|streams| {
            let happen = self.happen.clone();
            let reloader = move || drop(happen.send(ProcessEvent::Reloader));
            ChildOutput::start(pipes, streams, reloader)
        });
        let happen = self.happen.clone();
        let watcher = tokio::spawn(async move {
            match wait_for_exit(pid).await {
                Ok(ended) => drop(happen.send(ProcessEvent::Ended { tree, ended })),
                Err(error) => tracing::debug!(pid, %error, "lost sight of a child"),
            }
        });
        Running {
            tree,
            pid,
            began,
            output: output.and_then(Result::ok),
            _stdin: stdin,
            socket,
            port: None,
            watchers: vec![watcher.abort_handle()],
            probe: None,
            leader_ended: false,
            killed: false,
            look: PollTimer::start(now),
        }
    }

    /// Waits beside the loop until the generation serves.
    pub(super) fn await_ready(
        &mut self,
        generation: GenerationId,
        port: Option<u16>,
        inherited: Option<SocketAddr>,
        run: &mut Running,
    ) {
        let path = self.options.ready.path.clone();
        let now = Instant::now();
        let addresses = match self.options.port {
            Port::Own => port.map(|port| {
                run.probe = Some(SocketProbe::elsewhere(port, now));
                let mut addresses = loopback(port);
                addresses.extend(self.history.elsewhere());
                addresses
            }),
            Port::Fixed(address) => Some(vec![address]),
            Port::Inherited if path.is_some() => inherited.map(|address| vec![address]),
            Port::Inherited | Port::None => {
                let passed = run.socket.iter().chain(self.sockets.iter().map(Arc::as_ref));
                let sockets: Vec<u64> = passed.filter_map(InheritedListener::inode).collect();
                if !sockets.is_empty() {
                    run.probe = Some(SocketProbe::waiting(sockets, now));
                    return;
                }
                None
            }
        };
        let Some(addresses) = addresses else {
            return self.inputs.push_back(Input::Ready { generation, address: None });
        };
        let happen = self.happen.clone();
        let watcher = tokio::spawn(async move {
            let address = Some(wait_until_ready(&addresses, path.as_deref()).await);
            drop(happen.send(ProcessEvent::Ready { generation, address }));
        });
        run.watchers.push(watcher.abort_handle());
    }

    /// What comes before a start: the environment files are looked at, then the builds run, from this one on.
    pub(super) fn build(&mut self, generation: GenerationId, because: Option<Arc<Batch>>, at: usize) {
        if at == 0
            && let Err(error) = check_env_files(&self.options.command)
        {
            return self.not_built(generation, StartError::env_file(&error));
        }
        let Some(command) = self.options.builds.get(at) else {
            return self.inputs.push_back(Input::Built { generation, failure: None });
        };
        let tree = self.trees.new_tree();
        let request = self.request(command, generation, because.as_deref(), tree);
        let began = Instant::now();
        match request.spawn() {
            Ok(child) => {
                let run = self.running(tree, child, None, began);
                self.builds = Some(Builds { generation, because, at, cancelled: false, run });
            }
            Err(error) => self.not_built(generation, error),
        }
    }

    pub(super) fn not_built(&mut self, generation: GenerationId, error: StartError) {
        let failure = Some(error.into_report());
        self.inputs.push_back(Input::Built { generation, failure });
    }

    pub(super) fn cancel_build(&mut self, kill: bool) {
        let Some(builds) = &mut self.builds else { return };
        builds.cancelled = true;
        builds.run.look = PollTimer::start(Instant::now());
        builds.run.killed |= kill;
        match kill {
            true => self.trees.kill(builds.run.tree),
            false => self.trees.signal(builds.run.tree, Signal::TERM),
        }
    }

    /// The leader of a build has ended: the next one follows, or the outcome is told. What a finished build leaves behind
    /// (a compiler's cache server, say) may stay until devrun ends.
    pub(super) fn build_ended(&mut self, report: ExitReport) {
        let Some(builds) = self.builds.take_if(|builds| !builds.cancelled) else { return };
        let Builds { generation, because, at, run, .. } = builds;
        self.trees.release_leader(run.tree);
        self.unsaid.push(run.tree);
        if report.ended == ProcessExit::Status(0) {
            return self.build(generation, because, at + 1);
        }
        self.trees.signal(run.tree, Signal::TERM);
        self.inputs.push_back(Input::Built { generation, failure: Some(report) });
    }

    /// Looks whether generations serve that can only be known by their sockets.
    pub(super) fn probe(&mut self, now: Instant) {
        let held: Vec<_> = self.sockets.iter().filter_map(|socket| socket.tcp_address()).collect();
        for (generation, run) in &mut self.running {
            let due = run.probe.take_if(|probe| probe.next() <= now && !run.leader_ended);
            let Some(mut probe) = due else { continue };
            let (generation, address) =
                (*generation, run.socket.as_ref().and_then(InheritedListener::tcp_address));
            let pids: Vec<i32> = self.trees.members(run.tree).iter().map(|one| one.pid()).collect();
            let age = now.saturating_duration_since(run.began);
            let found = probe.probe(&ProbeTarget::new(&pids, &held, age), &mut self.history, now);
            match found {
                ProbeResult::Nothing => {}
                ProbeResult::Waiting | ProbeResult::Doubtful => {
                    self.inputs.push_back(Input::Ready { generation, address });
                }
                ProbeResult::Elsewhere(address) => {
                    self.inputs.push_back(Input::ListensElsewhere { generation, address })
                }
            }
            let goes_on =
                matches!(found, ProbeResult::Nothing | ProbeResult::Doubtful) && !probe.is_stale(age);
            run.probe = goes_on.then_some(probe);
        }
    }

    /// Looks at once whether generations serve: who does so since the last look must not be taken for one that still starts.
    pub(crate) fn look_now(&mut self) {
        let now = Instant::now();
        self.running.values_mut().filter_map(|run| run.probe.as_mut()).for_each(|probe| probe.hasten(now));
        self.probe(now);
    }
}
