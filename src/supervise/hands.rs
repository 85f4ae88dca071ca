//! The hands of the room: perform what `machine` decides, and report what became of it. Decide nothing.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc::UnboundedSender;

use crate::change::Batch;

use super::child::{self, Child, NotStarted, Surroundings};
use super::decision::{Action, Input};
use super::event::{Event, Exit};
use super::evidence::Evidence;
use super::jobs::{Jobs, Stop};
use super::options::{Capture, Options, PassSocket, Port, Subreaper};
use super::os::{Trees, ended};
use super::output::Output;
use super::phase::{Ended, ExitReport, Phase};
use super::port::free_port;
use super::probe::{Found, Habits, Look, Probe, Tree, besides, lacks_port};
use super::ready;
use super::running::{Builds, Happening, Running, is_gone, report};
use super::signal::Signal;
use super::sockets::Held;
use super::streams::Streams;
use super::witness::Witness;

/// How many of those who outlive a stop are named.
const NAMED: usize = 5;

/// What performs: everything that runs, and what it takes to run it.
#[derive(Debug)]
pub(super) struct Hands {
    options: Options,
    told: UnboundedSender<Event>,
    happen: UnboundedSender<Happening>,
    /// What the machine is to be told next.
    pub(super) inputs: VecDeque<Input>,
    trees: Trees,
    witness: Witness,
    /// Each process that is started gets a key of its own, builds too.
    keys: u64,
    sockets: Vec<Arc<Held>>,
    streams: Option<Streams>,
    running: BTreeMap<u64, Running>,
    builds: Option<Builds>,
    /// The machine has said that it is over.
    pub(super) exit: Option<Exit>,
    reloader_told: bool,
    jobs: Jobs,
    /// When to look for orphans that have ended even if no signal tells of one.
    reap_at: Option<Instant>,
    /// What earlier generations have shown of how the server listens.
    habits: Habits,
}

impl Hands {
    pub(super) fn new(
        options: Options,
        sockets: Vec<Arc<Held>>,
        told: UnboundedSender<Event>,
        happen: UnboundedSender<Happening>,
    ) -> io::Result<Self> {
        let streams = match &options.streams {
            None if options.capture != Capture::No => Some(Streams::open(false)?),
            given => given.clone(),
        };
        let trees = Trees::new(session_name(), options.subreaper == Subreaper::Yes);
        if let Some(guard) = &options.guard {
            guard.begins(trees.session());
        }
        Ok(Self {
            witness: Witness::new(trees.session()),
            trees,
            streams,
            jobs: Jobs::new(options.command.stdin),
            options,
            told,
            happen,
            inputs: VecDeque::from([Input::Begin]),
            keys: 0,
            sockets,
            running: BTreeMap::new(),
            builds: None,
            exit: None,
            reloader_told: false,
            reap_at: None,
            habits: Habits::default(),
        })
    }

    /// What is known of who wrote the files of a batch.
    pub(super) fn evidence(&mut self, batch: &Batch) -> Evidence {
        let trees = &mut self.trees;
        self.witness.evidence(batch, || trees.everything().iter().map(|(one, _)| one.pid).collect())
    }

    /// Listens for the writers of these files, and of no others.
    pub(super) fn suspect(&mut self, files: Vec<PathBuf>) {
        self.witness.watch(files);
    }

    /// When to look around next, if nothing happens before.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let builds = self.builds.as_ref().map(|builds| &builds.run);
        let ending = self.running.values().chain(builds).filter(|run| run.leader_ended);
        let probes = self.running.values().filter_map(|run| run.probe.as_ref()).map(Probe::at);
        let looks = self.jobs.deadline().into_iter().chain(self.reap_at);
        ending.map(|run| run.look.at).chain(looks).chain(probes).min()
    }

    /// Sends every process that runs a signal.
    pub(super) fn send_all(&mut self, signal: Signal) {
        let builds = self.builds.as_ref().map(|builds| &builds.run);
        let keys: Vec<u64> = self.running.values().chain(builds).map(|run| run.key).collect();
        keys.into_iter().for_each(|key| self.trees.send(key, &[signal]));
    }

    /// Stops everything, gently first.
    pub(super) fn suspend(&mut self) {
        self.send_all(Signal::TSTP);
        self.jobs.suspending(Instant::now());
    }

    /// Lets everything go on.
    pub(super) fn go_on(&mut self) {
        let mut live = self.running.values().rev().filter(|run| !run.leader_ended);
        self.jobs.go_on(live.next().map(|run| run.pid));
        self.send_all(Signal::CONT);
    }

    /// Our terminal has another size now. What is in the background is not told by the terminal itself.
    pub(super) fn resized(&mut self) {
        let builds = self.builds.as_ref().map(|builds| &builds.run);
        let runs: Vec<&Running> = self.running.values().chain(builds).collect();
        for run in &runs {
            run.output.iter().for_each(Output::resize);
        }
        runs.iter().for_each(|run| self.trees.signal_group(run.key, Signal::WINCH));
    }

    fn suspended(&mut self) {
        self.send_all(Signal::STOP);
        self.jobs.suspended();
        self.tell(Event::Suspended);
    }

    fn look_whether_stopped(&mut self, now: Instant) {
        let trees = &mut self.trees;
        if self.jobs.is_stopped(now, || trees.everything().iter().all(|(one, _)| one.stopped)) {
            self.suspended();
        }
    }

    fn look_for_stops(&mut self) {
        let live = self.running.values().filter(|run| !run.leader_ended && !run.killed);
        let pids: Vec<i32> = live.map(|run| run.pid).collect();
        match self.jobs.look(&pids) {
            Some(Stop::Job) => self.suspended(),
            Some(Stop::GoOn) => self.send_all(Signal::CONT),
            Some(Stop::Refused { pid, signal }) => {
                let message =
                    format!("process {pid} wants to use the terminal and was stopped for that ({signal})");
                let remedy = "run it with --stdin inherit: then the terminal is its own".to_owned();
                self.tell(Event::Warning { message, remedy });
            }
            None => {}
        }
    }

    pub(super) fn took(&mut self, happening: Happening) {
        match happening {
            Happening::Ready { generation, address } => {
                if let Some(run) = self.running.get_mut(&generation) {
                    run.probe = None;
                }
                self.inputs.push_back(Input::Ready { generation, address });
            }
            Happening::Reloader => self.reloader(),
            Happening::Ended { key, ended } => self.leader_ended(key, ended),
        }
    }

    /// A reloader inside the child is named once.
    fn reloader(&mut self) {
        if !std::mem::replace(&mut self.reloader_told, true) {
            let remedy = "app.run(use_reloader=False), or flask run --no-reload: devrun restarts it already";
            self.tell(Event::ReloaderInside { name: "werkzeug".to_owned(), remedy: remedy.to_owned() });
        }
    }

    /// A child of ours may have ended that nobody waits for, or come to us from a parent that has.
    pub(super) fn orphaned(&mut self) {
        self.reap_at = self.trees.reap_orphans(Instant::now());
        self.look_for_stops();
        let builds = self.builds.as_mut().map(|builds| &mut builds.run);
        for run in self.running.values_mut().chain(builds).filter(|run| run.leader_ended) {
            run.look.at = Instant::now();
        }
    }

    fn leader_ended(&mut self, key: u64, ended: Ended) {
        let now = Instant::now();
        let builds = self.builds.as_mut().map(|builds| (builds.generation, &mut builds.run));
        let all = self.running.iter_mut().map(|(generation, run)| (*generation, run)).chain(builds);
        for (generation, run) in all {
            if run.key == key {
                run.leader_ended = true;
                self.trees.leader_ended(key);
                run.look = Look::now(now);
                let report = report(run, ended, now);
                self.jobs.foreground.ended(run.pid);
                if self.builds.as_ref().is_some_and(|builds| builds.run.key == key) {
                    return self.build_ended(report);
                }
                if ended == Ended::Status(3) && self.options.pass_socket == PassSocket::Werkzeug {
                    // werkzeug's way to ask its own parent for a restart.
                    self.reloader();
                }
                if let Some((holder, address)) = self.in_the_way(generation, &report) {
                    self.inputs.push_back(Input::InTheWay { generation, holder, address });
                }
                return self.inputs.push_back(Input::Exited { generation, report });
            }
        }
    }

    /// The older generation that has the port which this one says is taken, and one address of those that only it has.
    fn in_the_way(&mut self, generation: u64, report: &ExitReport) -> Option<(u64, SocketAddr)> {
        let (holder, run) = self.running.range(..generation).rev().find(|(_, run)| run.serves())?;
        if !lacks_port(&report.output) {
            return None;
        }
        let pids: Vec<i32> = self.trees.members(run.key).iter().map(|one| one.pid).collect();
        let mut held: Vec<_> = self.sockets.iter().filter_map(|held| held.tcp()).collect();
        held.extend(run.socket.as_ref().and_then(Held::tcp));
        Some((*holder, besides(&pids, run.port, &held)?))
    }

    pub(super) fn perform(&mut self, action: Action) {
        match action {
            Action::Build { generation, because } => self.build(generation, because, 0),
            Action::CancelBuild { kill, .. } => self.cancel_build(kill),
            Action::Spawn { generation, because } => self.spawn(generation, because),
            Action::Signal { generation, signal } => {
                if let Some(run) = self.running.get_mut(&generation) {
                    run.look = Look::now(Instant::now());
                    self.trees.signal(run.key, signal);
                }
            }
            Action::Deliver { generation, signal } => {
                if let Some(run) = self.running.get(&generation) {
                    self.trees.signal_group(run.key, signal);
                }
            }
            Action::Kill { generation, waited } => self.kill(generation, waited),
            Action::Abandon { generation } => self.abandon(generation),
            Action::Tell(event) => self.tell(event),
            Action::End(exit) => self.exit = Some(exit),
        }
    }

    /// Tells the world, with the output of a generation that has failed.
    pub(super) fn tell(&mut self, mut event: Event) {
        if let Event::Phase { generation, phase: Phase::Failed(report) } = &mut event {
            let run = self.running.get(generation);
            if let Some(output) = run.and_then(|run| run.output.as_ref()).filter(|_| report.output.is_empty())
            {
                report.output = output.tail();
            }
            if report.ended == Ended::NotReady && report.message.is_none() {
                let timeout = self.options.ready.timeout.as_secs_f32();
                let waits = run.is_some_and(|run| matches!(run.probe, Some(Probe::Waits { .. })));
                let what = if waits { "not accepting on the socket it was given" } else { "not ready" };
                report.message = Some(format!("{what} after {timeout} s; --ready-timeout allows more"));
            }
        }
        // Nobody listens any more: then nobody needs to know.
        let _ = self.told.send(event);
    }

    fn surroundings<'a>(&'a self, generation: u64, because: Option<&'a Batch>, key: u64) -> Surroundings<'a> {
        Surroundings {
            generation,
            because,
            marker: self.trees.marker(key),
            mark: self.trees.mark(key),
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

    fn spawn(&mut self, generation: u64, because: Option<Arc<Batch>>) {
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
    fn running(&mut self, key: u64, child: Child, socket: Option<Held>, began: Instant) -> Running {
        self.trees.add(key, child.pid);
        if let Some(guard) = &self.options.guard {
            guard.began(self.trees.session(), key, child.pid);
        }
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
    fn await_ready(
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
    fn build(&mut self, generation: u64, because: Option<Arc<Batch>>, at: usize) {
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

    fn not_built(&mut self, generation: u64, NotStarted { status, message }: NotStarted) {
        let failure = Some(ExitReport::not_started(status, message));
        self.inputs.push_back(Input::Built { generation, failure });
    }

    fn cancel_build(&mut self, kill: bool) {
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
    fn build_ended(&mut self, report: ExitReport) {
        let Some(builds) = self.builds.take_if(|builds| !builds.cancelled) else { return };
        let Builds { generation, because, at, run, .. } = builds;
        self.trees.release(run.key);
        if let Some(guard) = &self.options.guard {
            guard.gone(self.trees.session(), run.key);
        }
        if report.ended == Ended::Status(0) {
            return self.build(generation, because, at + 1);
        }
        self.trees.signal(run.key, Signal::TERM);
        self.inputs.push_back(Input::Built { generation, failure: Some(report) });
    }

    /// Looks at once whether generations serve: who does so since the last look must not be taken for one that still starts.
    pub(super) fn look_now(&mut self) {
        let now = Instant::now();
        self.running.values_mut().filter_map(|run| run.probe.as_mut()).for_each(|probe| probe.hurry(now));
        self.probe(now);
    }

    /// Looks whether generations serve that can only be known by their sockets.
    fn probe(&mut self, now: Instant) {
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

    /// Looks whether trees whose leader has ended are gone.
    pub(super) fn look_around(&mut self) {
        let now = Instant::now();
        self.look_whether_stopped(now);
        if self.reap_at.is_some_and(|at| at <= now) {
            self.reap_at = self.trees.reap_orphans(now);
        }
        self.probe(now);
        let mut gone = Vec::new();
        for (generation, run) in &mut self.running {
            if run.leader_ended && run.look.at <= now && is_gone(&mut self.trees, run, now) {
                gone.push(*generation);
            }
        }
        for generation in gone {
            self.forget(generation);
            self.inputs.push_back(Input::Gone { generation });
        }
        if let Some(builds) = &mut self.builds
            && builds.cancelled
            && builds.run.leader_ended
            && builds.run.look.at <= now
            && is_gone(&mut self.trees, &mut builds.run, now)
            && let Some(builds) = self.builds.take()
        {
            self.gone(builds.run.key);
            self.inputs.push_back(Input::Built { generation: builds.generation, failure: None });
        }
    }

    fn forget(&mut self, generation: u64) {
        if let Some(run) = self.running.remove(&generation) {
            if let Some(output) = &run.output {
                output.catch_up();
            }
            self.gone(run.key);
        }
    }

    fn gone(&mut self, key: u64) {
        self.trees.forget(key);
        if let Some(guard) = &self.options.guard {
            guard.gone(self.trees.session(), key);
        }
    }

    fn kill(&mut self, generation: u64, waited: Duration) {
        let Some(run) = self.running.get_mut(&generation) else { return };
        run.killed = true;
        run.look = Look::now(Instant::now());
        let key = run.key;
        if !waited.is_zero() {
            for one in self.trees.members(key).into_iter().take(NAMED) {
                self.tell(Event::Blocked { pid: one.pid as u32, command: one.command(), waited });
            }
        }
        self.trees.kill(key);
    }

    fn abandon(&mut self, generation: u64) {
        let Some(run) = self.running.get(&generation) else { return };
        for one in self.trees.members(run.key).into_iter().take(NAMED) {
            let message = format!("process {} does not even end when killed: {}", one.pid, one.command());
            let remedy =
                "it hangs in the kernel, most likely on a network file system or a device".to_owned();
            self.tell(Event::Warning { message, remedy });
        }
        self.forget(generation);
    }

    /// Everything has ended that had a number; what builds have left behind ends now.
    pub(super) async fn end(mut self, exit: Exit) {
        self.kill_leftovers();
        if let Some(streams) = &self.streams {
            streams.flushed().await;
        }
        self.tell(Event::Ended(exit));
    }

    fn kill_leftovers(&mut self) {
        self.jobs.foreground.finish();
        for _ in 0..100 {
            let left: std::collections::BTreeSet<u64> =
                self.trees.everything().into_iter().map(|(_, key)| key).collect();
            if left.is_empty() {
                break;
            }
            left.into_iter().for_each(|key| self.trees.kill(key));
            std::thread::sleep(Duration::from_millis(1));
        }
        self.trees.reap_orphans(Instant::now());
        if let Some(guard) = &self.options.guard {
            guard.ended(self.trees.session());
        }
    }
}

impl Drop for Hands {
    fn drop(&mut self) {
        // The last resort, when the runtime ends before the supervisor: nothing is left behind even so.
        self.kill_leftovers();
    }
}

/// Unlike any other supervisor's on this machine.
fn session_name() -> String {
    use std::hash::{BuildHasher, RandomState};
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:x}.{:x}", std::process::id(), RandomState::new().hash_one(since))
}
