//! The executor: performs actions, and turns what happens to processes into inputs.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use super::builds::Builds;
use super::launcher::Launcher;
use super::process_event::ProcessEvent;
use super::python_bytecode::PythonBytecode;
use super::readiness_checks::ReadinessChecks;
use super::running::{RunningProcess, Server};
use super::tracked_trees::TrackedTrees;
use crate::change::Batch;
use crate::supervise::command::Command;
use crate::supervise::event::{Event, SupervisorExit};
use crate::supervise::options::{Options, Port};
use crate::supervise::phase::{ExitReport, ProcessExit, werkzeug_wants_restart};
use crate::supervise::process::{StartError, TreeId};
use crate::supervise::readiness::{address_besides, free_port, listener_on, says_port_is_taken};
use crate::supervise::signal::Signal;
use crate::supervise::sockets::{InheritedListener, ListenerUse, PassSocket};
use crate::supervise::state_machine::{Action, Input, SignalTarget};
use crate::supervise::terminal::{JobControl, StopReason};
use crate::{GenerationId, Remedy};

/// Runs the processes of a supervisor. Dropping it kills all of them.
#[derive(Debug)]
pub(crate) struct Executor {
    command: Command,
    port: Port,
    pass_socket: PassSocket,
    /// The sockets that every generation inherits.
    sockets: Vec<Arc<InheritedListener>>,
    launcher: Launcher,
    trees: TrackedTrees,
    servers: BTreeMap<GenerationId, Server>,
    builds: Builds,
    python_bytecode: PythonBytecode,
    readiness: ReadinessChecks,
    jobs: JobControl,
    reloader_reported: bool,
    events: UnboundedSender<Event>,
    /// Inputs for the state machine, from the oldest to the newest.
    inputs: VecDeque<Input>,
    exit: Option<SupervisorExit>,
}

impl Executor {
    /// `events` go to the owner, and `process_events` come back to [`Self::handle`].
    pub(crate) fn new(
        options: &Options,
        sockets: Vec<Arc<InheritedListener>>,
        events: UnboundedSender<Event>,
        process_events: UnboundedSender<ProcessEvent>,
    ) -> io::Result<Self> {
        Ok(Self {
            command: options.command.clone(),
            port: options.port,
            pass_socket: options.pass_socket,
            launcher: Launcher::new(options, process_events.clone())?,
            trees: TrackedTrees::new(options),
            servers: BTreeMap::new(),
            builds: Builds::new(options),
            python_bytecode: PythonBytecode::default(),
            readiness: ReadinessChecks::new(options, sockets.clone(), process_events),
            sockets,
            jobs: JobControl::new(options.command.stdin),
            reloader_reported: false,
            events,
            inputs: VecDeque::from([Input::Begin]),
            exit: None,
        })
    }

    /// Removes the oldest input for the state machine.
    pub(crate) fn next_input(&mut self) -> Option<Input> {
        self.inputs.pop_front()
    }

    /// Appends an input for the state machine.
    pub(crate) fn push_input(&mut self, input: Input) {
        self.inputs.push_back(input);
    }

    /// Remembers the sources whose cached bytecode must not run, even if these changes restart nothing now.
    pub(crate) fn sources_changed(&mut self, batch: &Batch) {
        self.python_bytecode.sources_changed(batch);
    }

    /// How the supervisor ends, once the state machine has decided that.
    pub(crate) fn exit(&self) -> Option<SupervisorExit> {
        self.exit
    }

    /// Performs an action.
    pub(crate) fn perform(&mut self, action: Action) {
        let now = Instant::now();
        match action {
            Action::Build { generation, because } => {
                self.python_bytecode.before_build(&self.command);
                let outcome = self.builds.start(generation, because, &self.launcher, &mut self.trees);
                self.inputs.extend(outcome);
            }
            Action::StopBuilds => self.builds.stop(&mut self.trees, now),
            Action::KillBuilds => self.builds.kill(&mut self.trees, now),
            Action::Spawn { generation, because } => self.spawn(generation, because.as_deref()),
            Action::DiagnoseReadiness { generation } => self.diagnose_readiness(generation),
            Action::Signal { generation, target, signal } => self.signal(generation, target, signal, now),
            Action::KillTree { generation, waited } => self.kill(generation, waited, now),
            Action::Abandon { generation } => self.abandon(generation),
            Action::Emit(event) => self.emit(event),
            Action::Finish(exit) => self.exit = Some(exit),
        }
    }

    fn signal(&mut self, generation: GenerationId, target: SignalTarget, signal: Signal, now: Instant) {
        let Some(process) = self.servers.get_mut(&generation).map(Server::process_mut) else { return };
        match target {
            SignalTarget::Tree => {
                process.stopping(now);
                self.trees.signal(process.tree(), signal);
            }
            SignalTarget::Leader if process.has_leader() => {
                self.trees.signal_leader(process.tree(), process.pid(), signal);
            }
            SignalTarget::Leader => {}
            SignalTarget::Rest => self.trees.signal_rest(process.tree(), process.pid(), signal),
            SignalTarget::Group => self.trees.signal_group(process.tree(), signal),
        }
    }

    fn spawn(&mut self, generation: GenerationId, because: Option<&Batch>) {
        if let Port::Fixed(address) = self.port
            && let Some(holder) = listener_on(address)
        {
            let report = StartError::port_in_use(address, &holder).into_report();
            return self.push_input(Input::SpawnFailed { generation, report });
        }
        self.python_bytecode.before_start(&self.command, !self.servers.is_empty());
        let (port, own_socket) = match self.port {
            Port::Own => (free_port(), None),
            Port::Inherited => (None, InheritedListener::on_free_port().ok()),
            Port::None | Port::Fixed(_) => (None, None),
        };
        let sockets = own_socket.iter().chain(self.sockets.iter().map(Arc::as_ref)).collect();
        let is_shared = self.servers.values().any(|server| server.process().may_serve());
        let socket_use = if is_shared { ListenerUse::Shared } else { ListenerUse::Exclusive };
        let (tree, tag) = self.trees.new_tree();
        let request = self
            .launcher
            .request(&self.command, generation, because, tag)
            .port(port)
            .sockets(sockets, socket_use, self.pass_socket)
            .interactive();
        let jobs = &mut self.jobs;
        let launched = self.launcher.launch(request, tree, &mut self.trees, |child| {
            if child.has_terminal() {
                jobs.child_started_with_terminal(child.pid());
            }
        });
        match launched {
            Ok(process) => {
                self.push_input(Input::Spawned { generation, pid: process.pid() as u32 });
                let server = Server::new(process, own_socket, port);
                let ready = self.readiness.start(generation, &server, Instant::now());
                self.inputs.extend(ready);
                self.servers.insert(generation, server);
            }
            Err(error) => self.push_input(Input::SpawnFailed { generation, report: error.into_report() }),
        }
    }

    fn diagnose_readiness(&mut self, generation: GenerationId) {
        if let Some(server) = self.servers.get(&generation) {
            let condition = self.readiness.condition(generation, server, &mut self.trees);
            let output = server.process().output_tail();
            self.push_input(Input::NotReady { generation, condition, output });
        }
    }

    fn kill(&mut self, generation: GenerationId, waited: Duration, now: Instant) {
        let Some(server) = self.servers.get_mut(&generation) else { return };
        server.process_mut().killed(now);
        let tree = server.process().tree();
        if !waited.is_zero() {
            for (pid, command) in self.trees.examples(tree) {
                self.emit(Event::Blocked { pid, command, waited });
            }
        }
        self.trees.kill(tree);
    }

    fn abandon(&mut self, generation: GenerationId) {
        let Some(server) = self.servers.get(&generation) else { return };
        for (pid, command) in self.trees.examples(server.process().tree()) {
            let message = format!("process {pid} does not even end when killed: {command}");
            let cause = "it hangs in the kernel, most likely on a network file system or a device";
            self.emit(Event::Warning { message, remedy: Remedy::Text(cause.into()) });
        }
        self.forget(generation);
    }

    fn forget(&mut self, generation: GenerationId) {
        self.readiness.end(generation);
        if let Some(server) = self.servers.remove(&generation) {
            server.process().catch_up_output();
            self.trees.remove(server.process().tree());
            self.python_bytecode.generation_ended(&self.command, self.servers.len() > 1);
        }
    }

    /// Handles an event of a process.
    pub(crate) fn handle(&mut self, event: ProcessEvent) {
        match event {
            ProcessEvent::Ready { generation, address } => {
                let input = self.readiness.accepted(generation, address, Instant::now());
                self.inputs.extend(input);
            }
            ProcessEvent::ReloaderSeen => self.report_reloader(),
            ProcessEvent::LeaderEnded { tree, exit } => self.leader_ended(tree, exit),
        }
    }

    fn leader_ended(&mut self, tree: TreeId, exit: ProcessExit) {
        let now = Instant::now();
        if self.builds.owns(tree) {
            let outcome = self.builds.leader_ended(exit, &self.launcher, &mut self.trees, now);
            self.inputs.extend(outcome);
            return;
        }
        let mut servers = self.servers.iter_mut();
        let Some((generation, server)) = servers.find(|(_, server)| server.process().tree() == tree) else {
            return;
        };
        let generation = *generation;
        self.readiness.end(generation);
        let report = server.process_mut().leader_ended(exit, &mut self.trees, now);
        self.jobs.child_ended(server.process().pid());
        if werkzeug_wants_restart(exit) && self.pass_socket == PassSocket::Werkzeug {
            self.report_reloader();
        }
        if let Some((holder, address)) = self.port_conflict(generation, &report) {
            self.push_input(Input::PortConflict { generation, holder, address });
        }
        self.push_input(Input::LeaderExited { generation, report });
    }

    /// The older generation that has the port which `generation` could not bind, and an address that only the
    /// older one has.
    fn port_conflict(
        &mut self,
        generation: GenerationId,
        report: &ExitReport,
    ) -> Option<(GenerationId, SocketAddr)> {
        let mut older = self.servers.range(..generation).rev();
        let (holder, server) = older.find(|(_, server)| server.process().may_serve())?;
        if !says_port_is_taken(&report.output) {
            return None;
        }
        let pids = self.trees.members(server.process().tree());
        let inherited = self.sockets.iter().filter_map(|socket| socket.tcp_address());
        let inherited: Vec<SocketAddr> = inherited.chain(server.own_address()).collect();
        Some((*holder, address_besides(&pids, server.port(), &inherited)?))
    }

    /// Reports once that a reloader runs inside the child.
    fn report_reloader(&mut self) {
        if !self.reloader_reported {
            self.reloader_reported = true;
            let name = "werkzeug".to_owned();
            self.emit(Event::ReloaderInside { remedy: Remedy::DisableReloader { name: name.clone() }, name });
        }
    }

    /// Handles SIGCHLD: a child has stopped, or an orphan that this process adopted has ended.
    pub(crate) fn handle_sigchld(&mut self) {
        let now = Instant::now();
        self.trees.reap_orphans(now);
        self.check_stops();
        for server in self.servers.values_mut() {
            server.process_mut().poll_soon(now);
        }
        if let Some(process) = self.builds.process_mut() {
            process.poll_soon(now);
        }
    }

    /// When to call [`Self::poll`] next, if nothing happens before.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let ends = self.processes().filter_map(RunningProcess::next_poll);
        let others = [self.jobs.deadline(), self.trees.deadline(), self.readiness.deadline()];
        ends.chain(others.into_iter().flatten()).min()
    }

    /// Looks for what no event announces: trees that are gone, stopped processes, and servers that listen.
    pub(crate) fn poll(&mut self) {
        let now = Instant::now();
        let trees = &mut self.trees;
        if self.jobs.is_suspend_over(now, || trees.are_all_stopped()) {
            self.suspended();
        }
        self.trees.reap_orphans_if_due(now);
        self.poll_readiness(now);
        let mut gone = Vec::new();
        for (generation, server) in &mut self.servers {
            if server.process_mut().is_gone(&mut self.trees, now) {
                gone.push(*generation);
            }
        }
        for generation in gone {
            self.forget(generation);
            self.push_input(Input::TreeGone { generation });
        }
        let cancelled = self.builds.poll(&mut self.trees, now);
        self.inputs.extend(cancelled);
    }

    fn poll_readiness(&mut self, now: Instant) {
        let inputs = self.readiness.poll(&self.servers, &mut self.trees, now);
        self.inputs.extend(inputs);
    }

    /// Looks at once which generations serve. Before a restart, a generation that serves since the last look
    /// must not count as one that still starts.
    pub(crate) fn poll_readiness_now(&mut self) {
        let now = Instant::now();
        self.readiness.hasten(now);
        self.poll_readiness(now);
    }

    /// Begins to stop all processes, as Ctrl-Z does. [`Event::Suspended`] follows.
    pub(crate) fn suspend(&mut self) {
        self.send_to_all(Signal::TSTP);
        self.jobs.suspending(Instant::now());
    }

    fn suspended(&mut self) {
        self.send_to_all(Signal::STOP);
        self.jobs.suspended();
        self.emit(Event::Suspended);
    }

    /// Continues all processes.
    pub(crate) fn resume(&mut self) {
        let mut live =
            self.servers.values().rev().map(Server::process).filter(|process| process.has_leader());
        let newest = live.next().map(RunningProcess::pid);
        self.jobs.resume(newest);
        self.send_to_all(Signal::CONT);
    }

    /// The terminal has another size. The kernel sends SIGWINCH to its foreground group only, so the others
    /// get it here.
    pub(crate) fn terminal_resized(&mut self) {
        for process in self.processes() {
            process.resize_terminal();
        }
        for process in self.processes() {
            self.trees.signal_group(process.tree(), Signal::WINCH);
        }
    }

    fn check_stops(&mut self) {
        let live = self.servers.values().map(Server::process).filter(|process| process.may_serve());
        let pids: Vec<i32> = live.map(RunningProcess::pid).collect();
        match self.jobs.check_stops(&pids) {
            Some(StopReason::Job) => self.suspended(),
            Some(StopReason::GotTerminal) => self.send_to_all(Signal::CONT),
            Some(StopReason::NeedsTerminal { pid, signal }) => {
                let message = format!("{signal} stopped process {pid}, because it used the terminal");
                self.emit(Event::Warning { message, remedy: Remedy::GiveTerminal });
            }
            None => {}
        }
    }

    fn send_to_all(&mut self, signal: Signal) {
        let trees: Vec<TreeId> = self.processes().map(RunningProcess::tree).collect();
        for tree in trees {
            self.trees.send(tree, signal);
        }
    }

    fn processes(&self) -> impl Iterator<Item = &RunningProcess> {
        self.servers.values().map(Server::process).chain(self.builds.process())
    }

    /// Reports the trees that are gone to the orphan killer.
    pub(crate) fn report_gone_trees(&mut self) {
        self.trees.report_gone();
    }

    /// Kills what builds have left behind, and sends the last event.
    pub(crate) async fn finish(mut self, exit: SupervisorExit) {
        self.kill_all();
        self.launcher.flush_output().await;
        // Closed first, so that the owner can bind the same addresses once it has the event.
        self.close_sockets();
        self.emit(Event::Ended(exit));
    }

    fn close_sockets(&mut self) {
        self.sockets.clear();
        self.readiness.close_sockets();
    }

    fn kill_all(&mut self) {
        self.jobs.finish();
        self.trees.kill_all();
    }

    /// Sends the owner an event. An owner that has dropped the receiver wants none.
    fn emit(&self, event: Event) {
        let _ = self.events.send(event);
    }
}

impl Drop for Executor {
    /// Leaves no process behind, even if the runtime ends before the supervisor.
    fn drop(&mut self) {
        self.kill_all();
    }
}
