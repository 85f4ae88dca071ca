//! What comes before a generation serves: builds, the start of its process, and the look-out for its being ready.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::change::Batch;

use super::child::{self, Child, NotStarted, Surroundings};
use super::decision::Input;
use super::hands::Hands;
use super::options::Port;
use super::os::ended;
use super::output::Output;
use super::phase::{ExitReport, ProcessExit};
use super::port::free_port;
use super::probe::{Found, Look, Probe, Tree};
use super::ready;
use super::running::{Builds, Happening, Running};
use super::signal::Signal;
use super::sockets::Held;

impl Hands {
    pub(super) fn surroundings<'a>(
        &'a self,
        generation: u64,
        because: Option<&'a Batch>,
        key: u64,
    ) -> Surroundings<'a> {
        Surroundings {
            generation,
            because,
            marker: self.trees.marker(key),
            open_files: self.options.open_files,
            port: None,
            sockets: Vec::new(),
            alone: !self.running.values().any(Running::serves),
            pass_socket: self.options.pass_socket,
            capture: self.options.capture,
            streams: self.streams.as_ref(),
            die_with_parent: self.options.parent_death_signal,
            interactive: true,
        }
    }

    pub(super) fn spawn(&mut self, generation: u64, because: Option<Arc<Batch>>) {
        self.keys += 1;
        let key = self.keys;
        let (port, socket) = match self.options.port {
            Port::Own => (free_port(), None),
            Port::Inherited => (None, Held::own().ok()),
            Port::None | Port::Fixed(_) => (None, None),
        };
        let mut around = self.surroundings(generation, because.as_deref(), key);
        around.port = port;
        around.sockets = socket.iter().chain(self.sockets.iter().map(Arc::as_ref)).collect();
        // Before the fork: a busy machine may let the child run before us.
        let began = Instant::now();
        let child = match child::spawn(&self.options.command, &around) {
            Ok(child) => child,
            Err(NotStarted { status, message }) => {
                let report = ExitReport::not_started(status, message);
                return self.inputs.push_back(Input::NotSpawned { generation, report });
            }
        };
        let pid = child.pid as u32;
        if child.terminal {
            self.jobs.foreground.given(child.pid);
        }
        let address = socket.as_ref().and_then(Held::tcp);
        let mut run = self.running(key, child, socket, began);
        run.port = port;
        self.inputs.push_back(Input::Spawned { generation, pid });
        self.await_ready(generation, port, address, &mut run);
        self.running.insert(generation, run);
    }

    /// A process has begun: its end is awaited, its output read.
    pub(super) fn running(
        &mut self,
        key: u64,
        child: Child,
        socket: Option<Held>,
        began: Instant,
    ) -> Running {
        self.trees.add(key, child.pid);
        self.tell_orphan_killer(Some((key, child.pid)));
        let now = Instant::now();
        let captured = self.streams.as_ref().filter(|_| !child.output.is_empty());
        let output = captured.map(|streams| {
            let happen = self.happen.clone();
            let reloader = move || drop(happen.send(Happening::Reloader));
            Output::new(child.output, streams, reloader)
        });
        let pid = child.pid;
        let happen = self.happen.clone();
        let watcher = tokio::spawn(async move {
            match ended(pid).await {
                Ok(ended) => drop(happen.send(Happening::Ended { key, ended })),
                Err(error) => tracing::debug!(pid, %error, "lost sight of a child"),
            }
        });
        Running {
            key,
            pid,
            began,
            output: output.and_then(Result::ok),
            _stdin: child.stdin,
            socket,
            port: None,
            watchers: vec![watcher.abort_handle()],
            probe: None,
            leader_ended: false,
            killed: false,
            look: Look::now(now),
        }
    }

    /// Waits beside the loop until the generation serves.
    pub(super) fn await_ready(
        &mut self,
        generation: u64,
        port: Option<u16>,
        inherited: Option<SocketAddr>,
        run: &mut Running,
    ) {
        let path = self.options.ready.path.clone();
        let now = Instant::now();
        let addresses = match self.options.port {
            Port::Own => port.map(|port| {
                run.probe = Some(Probe::elsewhere(port, now));
                let mut addresses = ready::loopback(port);
                addresses.extend(self.habits.elsewhere);
                addresses
            }),
            Port::Fixed(address) => Some(vec![address]),
            Port::Inherited if path.is_some() => inherited.map(|address| vec![address]),
            Port::Inherited | Port::None => {
                let passed = run.socket.iter().chain(self.sockets.iter().map(Arc::as_ref));
                let sockets: Vec<u64> = passed.filter_map(Held::inode).collect();
                if !sockets.is_empty() {
                    run.probe = Some(Probe::waits(sockets, now));
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
            let address = Some(ready::serves(&addresses, path.as_deref()).await);
            drop(happen.send(Happening::Ready { generation, address }));
        });
        run.watchers.push(watcher.abort_handle());
    }

    /// What comes before a start: the environment files are looked at, then the builds run, from this one on.
    pub(super) fn build(&mut self, generation: u64, because: Option<Arc<Batch>>, at: usize) {
        if at == 0
            && let Err(error) = child::check_env_files(&self.options.command)
        {
            return self.not_built(generation, child::not_prepared(&error));
        }
        let Some(command) = self.options.builds.get(at) else {
            return self.inputs.push_back(Input::Built { generation, failure: None });
        };
        self.keys += 1;
        let key = self.keys;
        let mut around = self.surroundings(generation, because.as_deref(), key);
        around.interactive = false;
        let began = Instant::now();
        match child::spawn(command, &around) {
            Ok(child) => {
                let run = self.running(key, child, None, began);
                self.builds = Some(Builds { generation, because, at, cancelled: false, run });
            }
            Err(not_started) => self.not_built(generation, not_started),
        }
    }

    pub(super) fn not_built(&mut self, generation: u64, NotStarted { status, message }: NotStarted) {
        let failure = Some(ExitReport::not_started(status, message));
        self.inputs.push_back(Input::Built { generation, failure });
    }

    pub(super) fn cancel_build(&mut self, kill: bool) {
        let Some(builds) = &mut self.builds else { return };
        builds.cancelled = true;
        builds.run.look = Look::now(Instant::now());
        builds.run.killed |= kill;
        match kill {
            true => self.trees.kill(builds.run.key),
            false => self.trees.signal(builds.run.key, Signal::TERM),
        }
    }

    /// The leader of a build has ended: the next one follows, or the outcome is told. What a finished build leaves behind
    /// (a compiler's cache server, say) may stay until devrun ends.
    pub(super) fn build_ended(&mut self, report: ExitReport) {
        let Some(builds) = self.builds.take_if(|builds| !builds.cancelled) else { return };
        let Builds { generation, because, at, run, .. } = builds;
        self.trees.release(run.key);
        self.unsaid.push(run.key);
        if report.ended == ProcessExit::Status(0) {
            return self.build(generation, because, at + 1);
        }
        self.trees.signal(run.key, Signal::TERM);
        self.inputs.push_back(Input::Built { generation, failure: Some(report) });
    }

    /// Looks whether generations serve that can only be known by their sockets.
    pub(super) fn probe(&mut self, now: Instant) {
        let held: Vec<_> = self.sockets.iter().filter_map(|held| held.tcp()).collect();
        for (generation, run) in &mut self.running {
            let due = run.probe.take_if(|probe| probe.at() <= now && !run.leader_ended);
            let Some(mut probe) = due else { continue };
            let (generation, address) = (*generation, run.socket.as_ref().and_then(Held::tcp));
            let pids: Vec<i32> = self.trees.members(run.key).iter().map(|one| one.pid).collect();
            let age = now.saturating_duration_since(run.began);
            let found = probe.look(&Tree { pids: &pids, held: &held, age }, &mut self.habits, now);
            match found {
                Found::Nothing => {}
                Found::Waiting | Found::Doubtful => {
                    self.inputs.push_back(Input::Ready { generation, address });
                }
                Found::Elsewhere(address) => self.inputs.push_back(Input::Elsewhere { generation, address }),
            }
            let goes_on = matches!(found, Found::Nothing | Found::Doubtful) && !probe.is_stale(age);
            run.probe = goes_on.then_some(probe);
        }
    }

    /// Looks at once whether generations serve: who does so since the last look must not be taken for one that still starts.
    pub(super) fn look_now(&mut self) {
        let now = Instant::now();
        self.running.values_mut().filter_map(|run| run.probe.as_mut()).for_each(|probe| probe.hurry(now));
        self.probe(now);
    }
}
