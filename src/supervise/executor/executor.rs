//! The executor: performs actions, and turns what happens to processes into inputs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use super::builds::Builds;
use super::processes::{ProcessEvent, Processes, RunningProcess};
use super::python_bytecode::PythonBytecode;
use super::server::{Readiness, Server};
use crate::change::Batch;
use crate::supervise::env_file::UnsetVariable;
use crate::supervise::event::{Event, ProcessExit, SupervisorExit, werkzeug_wants_restart};
use crate::supervise::inner_reloader::InnerReloader;
use crate::supervise::options::{Options, Port};
use crate::supervise::output::{ChildOutput, ConflictLine, Resource};
use crate::supervise::process::{SpawnRequest, TreeId, start_error, unset_variables};
use crate::supervise::readiness::{address_besides, free_port, lingering_port, listener_on, listens_on_path};
use crate::supervise::signal::Signal;
use crate::supervise::sockets::{InheritedListener, ListenerUse, PassSocket};
use crate::supervise::state_machine::{Action, Input};
use crate::supervise::sys::pid::Pid;
use crate::supervise::sys::signals::may_signal;
use crate::supervise::terminal::{JobControl, StopReason};
use crate::{GenerationId, Remedy};

/// Runs the processes of a supervisor. Dropping it kills all of them.
#[derive(Debug)]
pub(crate) struct Executor {
    options: Arc<Options>,
    /// The sockets that every generation inherits.
    sockets: Vec<Arc<InheritedListener>>,
    processes: Processes,
    servers: BTreeMap<GenerationId, Server>,
    builds: Builds,
    python_bytecode: PythonBytecode,
    readiness: Readiness,
    jobs: JobControl,
    /// The port for which the last attempt to start failed, because closed connections keep it.
    lingering_port: Option<u16>,
    /// Variables of environment files, by file and name, that the owner was warned about.
    reported_variables: BTreeSet<(PathBuf, String)>,
    /// The reloaders inside the command that were reported.
    reloaders: Vec<InnerReloader>,
    events: UnboundedSender<Event>,
    /// Inputs for the state machine, from the oldest to the newest.
    inputs: VecDeque<Input>,
    exit: Option<SupervisorExit>,
}

impl Executor {
    /// `events` go to the owner, and `process_events` come back to [`Self::handle`].
    pub(crate) fn new(
        options: Arc<Options>,
        sockets: Vec<Arc<InheritedListener>>,
        events: UnboundedSender<Event>,
        process_events: UnboundedSender<ProcessEvent>,
    ) -> io::Result<Self> {
        Ok(Self {
            processes: Processes::new(Arc::clone(&options), process_events.clone())?,
            servers: BTreeMap::new(),
            builds: Builds::new(Arc::clone(&options)),
            python_bytecode: PythonBytecode::default(),
            readiness: Readiness::new(Arc::clone(&options), process_events),
            sockets,
            jobs: JobControl::new(options.command.stdin),
            options,
            lingering_port: None,
            reported_variables: BTreeSet::new(),
            reloaders: Vec::new(),
            events,
            inputs: VecDeque::from([Input::Begin]),
            exit: None,
        })
    }

    pub(crate) fn next_input(&mut self) -> Option<Input> {
        self.inputs.pop_front()
    }

    pub(crate) fn push_input(&mut self, input: Input) {
        self.inputs.push_back(input);
    }

    /// Remembers the sources whose cached bytecode must not run, even if these changes restart nothing now.
    pub(crate) fn sources_changed(&mut self, batch: &Batch) {
        self.python_bytecode.sources_changed(batch);
        self.lingering_port = None;
    }

    /// How the supervisor ends, once the state machine has decided that.
    pub(crate) fn exit(&self) -> Option<SupervisorExit> {
        self.exit
    }

    pub(crate) fn perform(&mut self, action: Action) {
        let now = Instant::now();
        match action {
            Action::Build { generation, because } => {
                self.python_bytecode.before_build(&self.options.command);
                let outcome = self.builds.start(generation, because, &mut self.processes);
                self.inputs.extend(outcome);
            }
            Action::StopBuilds => self.inputs.extend(self.builds.stop(&mut self.processes, now)),
            Action::KillBuilds => self.inputs.extend(self.builds.kill(&mut self.processes, now)),
            Action::Spawn { generation, because } => self.spawn(generation, because.as_deref()),
            Action::DiagnoseReadiness { generation } => self.diagnose_readiness(generation),
            Action::Signal { generation, target, signal } => {
                if let Some(server) = self.servers.get_mut(&generation) {
                    let refused = self.processes.signal(&mut server.process, target, signal, now);
                    self.inputs.extend(refused.map(|pid| self.processes.refused(generation, pid)));
                }
            }
            Action::KillTree { generation, waited } => self.kill(generation, waited, now),
            Action::Abandon { generation } => self.abandon(generation),
            Action::Emit(event) => self.emit(event),
            Action::Finish(exit) => self.exit = Some(exit),
        }
    }

    fn spawn(&mut self, generation: GenerationId, because: Option<&Batch>) {
        if let Port::Fixed(address) = self.options.port
            && let Some(holder) = listener_on(address)
        {
            let report = start_error::port_in_use(address, &holder);
            return self.push_input(Input::SpawnFailed { generation, report });
        }
        self.report_unset_variables();
        self.python_bytecode.before_start(&self.options.command, !self.servers.is_empty());
        let (port, own_socket) = match self.options.port {
            Port::Own => (free_port(), None),
            Port::Inherited => (None, InheritedListener::on_free_port().ok()),
            Port::None | Port::Fixed(_) => (None, None),
        };
        let sockets = own_socket.iter().chain(self.sockets.iter().map(Arc::as_ref)).collect();
        let is_shared = self.servers.values().any(|server| server.process.may_serve());
        let socket_use = if is_shared { ListenerUse::Shared } else { ListenerUse::Exclusive };
        let (tree, started_at) = (self.processes.new_tree(), Instant::now());
        let request = SpawnRequest {
            port,
            sockets,
            socket_use,
            pass_socket: self.options.pass_socket,
            is_interactive: true,
            ..self.processes.request(&self.options.command, generation, because, tree)
        };
        match request.spawn() {
            Ok(child) => {
                if child.has_terminal {
                    self.jobs.child_started_with_terminal(child.pid);
                }
                let process = self.processes.adopt(child, generation, tree, started_at);
                self.push_input(Input::Spawned { generation, pid: process.pid.to_u32() });
                let mut server = Server { generation, process, own_socket, port, check: None };
                let ready = self.readiness.start(&mut server, &self.sockets, Instant::now());
                self.inputs.extend(ready);
                self.servers.insert(generation, server);
            }
            Err(report) => self.push_input(Input::SpawnFailed { generation, report }),
        }
    }

    /// Warns once of each variable in the environment files that expands to nothing: its `$` may belong to the value.
    fn report_unset_variables(&mut self) {
        for UnsetVariable { file, line, name } in unset_variables(&self.options.command) {
            let place = format!("{}:{line}", file.display());
            if self.reported_variables.insert((file, name.clone())) {
                let message = format!("{place}: the variable {name} is not set and expands to nothing");
                let remedy = format!("write \\$ for a literal $, or ${{{name}-}} to allow an unset variable");
                self.emit(Event::Warning { message, remedy: Remedy::Text(remedy.into()) });
            }
        }
    }

    fn diagnose_readiness(&mut self, generation: GenerationId) {
        if let Some(server) = self.servers.get(&generation) {
            let (message, remedy) = self.readiness.why_not_ready(server, &mut self.processes);
            let output = server.process.output_tail();
            if let Some(line) = ConflictLine::find(&output) {
                self.push_conflict(generation, line);
            }
            self.push_input(Input::NotReady { generation, message, remedy, output });
        }
    }

    fn kill(&mut self, generation: GenerationId, waited: Duration, now: Instant) {
        let Some(server) = self.servers.get_mut(&generation) else { return };
        if !waited.is_zero() {
            let examples = self.processes.examples(server.process.tree).into_iter();
            for (pid, command) in examples.filter(|(pid, _)| may_signal(*pid)) {
                let pid = pid.to_u32();
                let _ = self.events.send(Event::Blocked { pid, command, waited });
            }
        }
        let refused = self.processes.kill(&mut server.process, now);
        self.inputs.extend(refused.map(|pid| self.processes.refused(generation, pid)));
    }

    fn abandon(&mut self, generation: GenerationId) {
        let Some(server) = self.servers.get(&generation) else { return };
        for (pid, command) in self.processes.examples(server.process.tree) {
            let (message, remedy) = if may_signal(pid) {
                let cause = "it hangs in the kernel, most likely on a network file system or a device";
                (format!("process {pid} does not even end when killed: {command}"), cause.into())
            } else {
                (
                    format!("process {pid} goes on running: {command}"),
                    format!("end it with `sudo kill {pid}`"),
                )
            };
            self.emit(Event::Warning { message, remedy: Remedy::Text(remedy.into()) });
        }
        self.forget(generation);
    }

    fn forget(&mut self, generation: GenerationId) {
        if let Some(server) = self.servers.remove(&generation) {
            server.process.catch_up_output();
            self.processes.forget(server.process.tree);
            self.python_bytecode.generation_ended(&self.options.command, self.servers.len() > 1);
        }
    }

    pub(crate) fn handle(&mut self, event: ProcessEvent) {
        match event {
            ProcessEvent::Ready { generation, address } => {
                if let Some(server) = self.servers.get_mut(&generation) {
                    let input = self.readiness.accepted(server, address, Instant::now());
                    self.push_readiness(input);
                }
            }
            ProcessEvent::Warning { message, remedy } => self.emit(Event::Warning { message, remedy }),
            ProcessEvent::ReloaderSeen(reloader) => self.report_reloader(reloader),
            ProcessEvent::LeaderEnded { tree, exit } => self.leader_ended(tree, exit),
        }
    }

    fn leader_ended(&mut self, tree: TreeId, exit: ProcessExit) {
        let now = Instant::now();
        if self.builds.process().is_some_and(|process| process.tree == tree) {
            let outcome = self.builds.leader_ended(exit, &mut self.processes, now);
            self.inputs.extend(outcome);
            return;
        }
        let mut servers = self.servers.values_mut();
        let Some(server) = servers.find(|server| server.process.tree == tree) else { return };
        server.check = None;
        let generation = server.generation;
        let mut report = self.processes.leader_ended(&mut server.process, exit, now);
        self.processes.explain_daemon(tree, &mut report);
        self.jobs.child_ended(server.process.pid);
        if werkzeug_wants_restart(exit) && self.options.pass_socket == PassSocket::Werkzeug {
            self.report_reloader(InnerReloader::werkzeug());
        }
        if let Some(line) = ConflictLine::find(&report.output) {
            self.push_conflict(generation, line);
        }
        self.push_input(Input::LeaderExited { generation, report });
    }

    /// Reports that a generation needs what an older one has, as a line of its output says. A port counts only
    /// if the older generation listens somewhere besides the port that it was given: the line may be about a
    /// port of another program. Without an older generation, closed connections may keep the port.
    fn push_conflict(&mut self, generation: GenerationId, line: ConflictLine) {
        let mut older = self.servers.range(..generation).rev().map(|(_, server)| server);
        let Some(server) = older.find(|server| server.process.may_serve()) else {
            let fixed =
                if let Port::Fixed(address) = self.options.port { Some(address.port()) } else { None };
            let port = line.port().or(fixed);
            let port =
                (line.resource == Resource::Address).then(|| lingering_port(port, self.lingering_port));
            self.lingering_port = port.flatten();
            let input = self.lingering_port.map(|port| Input::PortLingers { generation, port });
            return self.inputs.extend(input);
        };
        let mut address = None;
        if line.resource == Resource::Address {
            let pids = self.processes.members(server.process.tree);
            let inherited = self.sockets.iter().filter_map(|socket| socket.tcp_address());
            let inherited: Vec<SocketAddr> = inherited.chain(server.own_address()).collect();
            address = address_besides(&pids, server.port, &inherited);
            if address.is_none() && !listens_on_path(&pids) {
                return;
            }
        }
        let (holder, words) = (server.generation, line.text);
        self.push_input(Input::Conflict { generation, holder, address, words });
    }

    /// Passes on that a server serves. Before, it looks whether the server runs without a port that it wants, such
    /// as the one of its debugger.
    fn push_readiness(&mut self, input: Option<Input>) {
        let Some(input) = input else { return };
        if let Input::Ready { generation, .. } = input
            && let Some(server) = self.servers.get(&generation)
        {
            server.process.catch_up_output();
            let line = ConflictLine::find(&server.process.output_tail());
            if let Some(line) = line.filter(|line| line.resource == Resource::Address) {
                self.push_conflict(generation, line);
            }
        }
        self.push_input(input);
    }

    fn report_reloader(&mut self, reloader: InnerReloader) {
        if !self.reloaders.contains(&reloader) {
            self.reloaders.push(reloader);
            self.emit(Event::ReloaderInside(reloader));
        }
    }

    /// Handles SIGCHLD: a child has stopped, or an orphan that this process adopted has ended.
    pub(crate) fn handle_sigchld(&mut self) {
        let now = Instant::now();
        self.processes.reap_orphans(now);
        self.check_stops();
        self.servers.values_mut().for_each(|server| server.process.poll_soon(now));
        self.builds.poll_soon(now);
    }

    /// When to call [`Self::poll`] next, if nothing happens before.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let ends = self.running().filter_map(RunningProcess::next_poll);
        let probes = self.servers.values().filter_map(Server::next_probe);
        ends.chain(probes).chain(self.jobs.deadline()).chain(self.processes.reap_at()).min()
    }

    /// Looks for what no event announces: trees that are gone, stopped processes, and servers that listen.
    pub(crate) fn poll(&mut self) {
        let now = Instant::now();
        if self.jobs.is_suspend_over(now, || self.processes.are_all_stopped()) {
            self.suspended();
        }
        if self.processes.reap_at().is_some_and(|at| at <= now) {
            self.processes.reap_orphans(now);
        }
        self.poll_readiness(now);
        let servers = self.servers.values_mut();
        let gone = servers.filter_map(|server| {
            self.processes.is_gone(&mut server.process, now).then_some(server.generation)
        });
        for generation in gone.collect::<Vec<_>>() {
            self.forget(generation);
            self.push_input(Input::TreeGone { generation });
        }
        let cancelled = self.builds.poll(&mut self.processes, now);
        self.inputs.extend(cancelled);
    }

    fn poll_readiness(&mut self, now: Instant) {
        let poll = |server| self.readiness.poll(server, &self.sockets, &mut self.processes, now);
        let ready: Vec<_> = self.servers.values_mut().map(poll).collect();
        ready.into_iter().for_each(|input| self.push_readiness(input));
    }

    /// Looks at once which generations serve. Before a restart or a halt, a generation that serves since the last look
    /// must not count as one that still starts.
    pub(crate) fn poll_readiness_now(&mut self) {
        let now = Instant::now();
        self.servers.values_mut().for_each(|server| server.hasten_probe(now));
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

    pub(crate) fn resume(&mut self) {
        let newest = self.servers.values().rev().find(|server| server.process.has_leader());
        self.jobs.resume(newest.map(|server| server.process.pid));
        self.send_to_all(Signal::CONT);
    }

    pub(crate) fn write_input(&self, generation: GenerationId, bytes: &[u8]) {
        self.servers.get(&generation).inspect(|server| server.process.write_input(bytes));
    }

    /// Only the foreground group of the terminal gets SIGWINCH from the kernel.
    pub(crate) fn terminal_resized(&mut self) {
        self.running().filter_map(|process| process.output.as_ref()).for_each(ChildOutput::resize);
        self.running().for_each(|process| self.processes.signal_group(process.tree, Signal::WINCH));
    }

    fn check_stops(&mut self) {
        let processes = self.servers.values().map(|server| &server.process);
        let pids: Vec<Pid> = processes.filter(|one| one.may_serve()).map(|one| one.pid).collect();
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
        for tree in self.running().map(|process| process.tree).collect::<Vec<_>>() {
            self.processes.signal_only(tree, signal);
        }
    }

    /// The processes that run: of generations and of builds.
    fn running(&self) -> impl Iterator<Item = &RunningProcess> {
        self.servers.values().map(|server| &server.process).chain(self.builds.process())
    }

    /// Kills what builds have left behind, and sends the last event.
    pub(crate) async fn finish(mut self, exit: SupervisorExit) {
        self.kill_all();
        self.processes.flush_output().await;
        self.sockets.clear(); // The owner can bind their addresses once it has the event.
        self.emit(Event::Ended(exit));
    }

    fn kill_all(&mut self) {
        self.jobs.finish();
        self.processes.kill_all();
    }

    fn emit(&self, event: Event) {
        // An owner that has dropped the receiver wants none.
        let _ = self.events.send(event);
    }
}

impl Drop for Executor {
    /// Leaves no process behind, even if the runtime ends before the supervisor.
    fn drop(&mut self) {
        self.kill_all();
    }
}
