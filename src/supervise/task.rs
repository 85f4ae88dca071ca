//! The one loop of the room: select -> input -> step -> perform.
//!
//! Performs what `machine` decides and reports what became of it; decides nothing itself.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{AbortHandle, JoinHandle};

use crate::change::Batch;

use super::child::{self, Child, NotStarted, Surroundings};
use super::error::Error;
use super::event::{Event, Exit, Request};
use super::machine::{Action, Input, Machine};
use super::options::{Options, PassSocket, Port, Subreaper};
use super::os::{Trees, adopt_orphans, ended};
use super::output::{Output, Sink};
use super::phase::{Ended, ExitReport, Phase};
use super::ready;
use super::signal::Signal;
use super::sockets::Held;

/// How long the last output may take to be written when everything has ended.
const FLUSH: Duration = Duration::from_secs(1);
/// The first pause between two looks at a tree whose leader has ended; it doubles up to [`LAST_LOOK`].
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(50);
/// How long a tree has to stop at `SIGTSTP`.
const SUSPEND: Duration = Duration::from_millis(300);
/// How long a process that has its inherited socket open, but is not seen waiting on it, is doubted.
const DOUBT: Duration = Duration::from_secs(5);
/// When to begin to look whether a server listens elsewhere, how often, and how long it must have done so: what opens first
/// may be a debugger's port.
const ELSEWHERE_FIRST: Duration = Duration::from_millis(300);
const ELSEWHERE_PAUSE: Duration = Duration::from_millis(100);
const ELSEWHERE_STEADY: Duration = Duration::from_millis(500);
/// Ports of debuggers: node's inspector, debugpy.
const DEBUGGERS: [u16; 2] = [9229, 5678];
/// How many of those who outlive a stop are named.
const NAMED: usize = 5;

/// A running supervisor. Dropped, it kills what it runs at once.
#[derive(Debug)]
pub struct Supervisor {
    handle: Handle,
    events: UnboundedReceiver<Event>,
    task: JoinHandle<()>,
    answering: Vec<TcpListener>,
}

/// Tells a running supervisor what to do. Cheap to clone; never blocks; does nothing once it has ended.
#[derive(Debug, Clone)]
pub struct Handle {
    requests: UnboundedSender<Request>,
}

impl Handle {
    /// Sends a request.
    pub fn send(&self, request: Request) {
        // A supervisor that has ended has nothing left to do.
        let _ = self.requests.send(request);
    }
}

impl Supervisor {
    /// Opens the sockets and starts the first generation (unless postponed). Must be called in a tokio runtime.
    ///
    /// # Errors
    /// [`Error`] if a socket cannot be opened or the process cannot be prepared.
    pub fn start(options: Options) -> Result<Self, Error> {
        let sockets = options.listen.iter().map(Held::open).collect::<Result<Vec<_>, _>>()?;
        let answering = sockets.iter().filter(|held| held.answer).map(Held::duplicate);
        let answering = answering.collect::<Result<_, _>>().map_err(Error::Prepare)?;
        let (requests, requested) = unbounded_channel();
        let (told, events) = unbounded_channel();
        let work = Loop::new(options, sockets, requested, told)?;
        Ok(Self { handle: Handle { requests }, events, task: tokio::spawn(work.run()), answering })
    }

    /// A handle to tell it things.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits for the next event; `None` after [`Event::Ended`]. Cancel-safe.
    pub async fn next_event(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// The sockets that somebody may answer on while no generation lives, duplicated.
    #[must_use]
    pub fn answering_sockets(&self) -> Vec<TcpListener> {
        self.answering.iter().filter_map(|socket| socket.try_clone().ok()).collect()
    }

    /// Stops gently and returns once the last process of the tree is gone.
    pub async fn stop(mut self) -> Exit {
        self.handle.send(Request::Stop);
        let mut exit = Exit::Asked;
        while let Some(event) = self.next_event().await {
            if let Event::Ended(how) = event {
                exit = how;
            }
        }
        exit
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // The loop's own end kills what still runs.
        self.task.abort();
    }
}

/// What happens outside, told by the small tasks beside the loop.
#[derive(Debug)]
enum Happening {
    /// The leader of this tree has ended.
    Ended { key: u64, ended: Ended },
    /// The output says that werkzeug's reloader is at work.
    Reloader,
    /// A generation serves.
    Ready { generation: u64, address: Option<SocketAddr> },
}

/// A generation's process.
#[derive(Debug)]
struct Running {
    key: u64,
    began: Instant,
    output: Option<Output>,
    /// Open as long as the process may read from it.
    _stdin: Option<OwnedFd>,
    terminal: bool,
    /// Its own inherited socket: closed with the generation, so that no client waits in a queue that nobody serves.
    socket: Option<Held>,
    watchers: Vec<AbortHandle>,
    probe: Option<Probe>,
    leader_ended: bool,
    /// It was killed: whoever still turns up is killed too.
    killed: bool,
    look: Look,
}

/// What is looked for in the tree of a generation that is not ready.
#[derive(Debug)]
enum Probe {
    /// One of its processes waits on this socket.
    Waits { inode: u64, look: Look },
    /// It listens, but not on its own port.
    Elsewhere { port: u16, at: Instant, seen: Option<(SocketAddr, Instant)> },
}

impl Probe {
    fn at(&self) -> Instant {
        match self {
            Self::Waits { look, .. } => look.at,
            Self::Elsewhere { at, .. } => *at,
        }
    }
}

/// When to look next whether a tree is gone.
#[derive(Debug)]
struct Look {
    at: Instant,
    pause: Duration,
}

impl Look {
    fn now(now: Instant) -> Self {
        Self { at: now, pause: FIRST_LOOK }
    }

    fn later(&mut self, now: Instant) {
        self.at = now + self.pause;
        self.pause = (self.pause * 2).min(LAST_LOOK);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.watchers.iter().for_each(AbortHandle::abort);
    }
}

/// The builds of one generation, one at a time.
#[derive(Debug)]
struct Builds {
    generation: u64,
    because: Option<Arc<Batch>>,
    /// Which of them runs.
    at: usize,
    cancelled: bool,
    run: Running,
}

#[derive(Debug)]
struct Loop {
    options: Options,
    machine: Machine,
    requests: UnboundedReceiver<Request>,
    told: UnboundedSender<Event>,
    happened: UnboundedReceiver<Happening>,
    happen: UnboundedSender<Happening>,
    inputs: VecDeque<Input>,
    trees: Trees,
    /// Each process that is started gets a key of its own, builds too.
    keys: u64,
    sockets: Vec<Held>,
    sinks: Option<(Sink, Sink)>,
    running: BTreeMap<u64, Running>,
    builds: Option<Builds>,
    orphans: Option<tokio::signal::unix::Signal>,
    exit: Option<Exit>,
    reloader_told: bool,
    /// Everything is being stopped: until when it may take, and when to look next.
    suspending: Option<(Instant, Look)>,
    /// Where the server was found to listen, whatever it was told.
    elsewhere: Option<SocketAddr>,
}

impl Loop {
    fn new(
        options: Options,
        sockets: Vec<Held>,
        requests: UnboundedReceiver<Request>,
        told: UnboundedSender<Event>,
    ) -> Result<Self, Error> {
        let adopting = options.subreaper == Subreaper::Yes;
        let orphans = adopting.then(|| {
            adopt_orphans()?;
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::child())
        });
        let sinks = options.capture.then(|| Ok((Sink::new(false)?, Sink::new(true)?)));
        let (happen, happened) = unbounded_channel();
        Ok(Self {
            machine: Machine::new(&options),
            trees: Trees::new(session_name(), adopting),
            orphans: orphans.transpose().map_err(Error::Prepare)?,
            sinks: sinks.transpose().map_err(Error::Prepare)?,
            options,
            requests,
            told,
            happened,
            happen,
            inputs: VecDeque::from([Input::Begin]),
            keys: 0,
            sockets,
            running: BTreeMap::new(),
            builds: None,
            exit: None,
            reloader_told: false,
            suspending: None,
            elsewhere: None,
        })
    }

    async fn run(mut self) {
        loop {
            self.look_around();
            self.settle();
            if let Some(exit) = self.exit {
                return self.end(exit).await;
            }
            self.wait().await;
        }
    }

    /// Waits for one thing to happen.
    async fn wait(&mut self) {
        let deadline = self.deadline();
        tokio::select! {
            biased;
            Some(happening) = self.happened.recv() => self.took(happening),
            Some(request) = self.requests.recv() => self.requested(request),
            () = orphaned(&mut self.orphans) => self.orphaned(),
            () = until(deadline) => self.inputs.push_back(Input::Time),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let builds = self.builds.as_ref().map(|builds| &builds.run);
        let ending = self.running.values().chain(builds).filter(|run| run.leader_ended);
        let suspending = self.suspending.as_ref().map(|(_, look)| look.at);
        let probes = self.running.values().filter_map(|run| run.probe.as_ref()).map(Probe::at);
        ending.map(|run| run.look.at).chain(suspending).chain(probes).chain(self.machine.deadline()).min()
    }

    fn requested(&mut self, request: Request) {
        self.inputs.push_back(match request {
            Request::Suspend => return self.suspend(),
            Request::Continue => return self.send_all(Signal::CONT),
            Request::Changed(batch) => Input::Changed(batch),
            Request::Restart => Input::Restart,
            Request::Drained(generation) => Input::Drained(generation),
            Request::Pause => Input::Pause,
            Request::Resume => Input::Resume,
            Request::Signal(signal) => Input::Deliver(signal),
            Request::Stop => Input::Stop,
            Request::Kill => Input::Kill,
        });
    }

    /// Sends every process that runs a signal.
    fn send_all(&mut self, signal: Signal) {
        let builds = self.builds.as_ref().map(|builds| &builds.run);
        let keys: Vec<u64> = self.running.values().chain(builds).map(|run| run.key).collect();
        keys.into_iter().for_each(|key| self.trees.send(key, &[signal]));
    }

    fn suspend(&mut self) {
        let now = Instant::now();
        self.send_all(Signal::TSTP);
        self.suspending = Some((now + SUSPEND, Look::now(now)));
    }

    /// Looks whether everything has stopped; what has not in time is made to.
    fn look_whether_stopped(&mut self, now: Instant) {
        let Some((until, mut look)) = self.suspending.take_if(|(_, look)| look.at <= now) else { return };
        let everything = self.trees.everything();
        if !everything.iter().all(|(one, _)| one.stopped) && now < until {
            look.later(now);
            self.suspending = Some((until, look));
            return;
        }
        self.send_all(Signal::STOP);
        self.tell(Event::Suspended);
    }

    fn took(&mut self, happening: Happening) {
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
    fn orphaned(&mut self) {
        self.trees.reap_orphans();
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
                run.look = Look::now(now);
                let report = report(run, ended, now);
                if run.terminal {
                    super::os::terminal::take_back();
                }
                if self.builds.as_ref().is_some_and(|builds| builds.run.key == key) {
                    return self.build_ended(report);
                }
                if ended == Ended::Status(3) && self.options.pass_socket == PassSocket::Werkzeug {
                    // werkzeug's way to ask its own parent for a restart.
                    self.reloader();
                }
                return self.inputs.push_back(Input::Exited { generation, report });
            }
        }
    }

    /// Runs the machine until nothing follows any more.
    fn settle(&mut self) {
        while let Some(input) = self.inputs.pop_front() {
            for action in self.machine.step(input, Instant::now()) {
                self.perform(action);
            }
        }
    }

    fn perform(&mut self, action: Action) {
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
    fn tell(&mut self, mut event: Event) {
        if let Event::Phase { generation, phase: Phase::Failed(report) } = &mut event {
            let run = self.running.get(generation);
            if let Some(output) = run.and_then(|run| run.output.as_ref()).filter(|_| report.output.is_empty())
            {
                report.output = output.tail();
            }
            if report.ended == Ended::NotReady && report.message.is_none() {
                let timeout = self.options.ready.timeout.as_secs_f32();
                report.message = Some(format!("not ready after {timeout} s; --ready-timeout allows more"));
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
            port: None,
            sockets: Vec::new(),
            pass_socket: self.options.pass_socket,
            capture: self.options.capture,
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
        around.sockets = socket.iter().chain(&self.sockets).collect();
        // Before the fork: a busy machine may let the child run before us.
        let began = Instant::now();
        let (spawned, defects) = child::spawn(&self.options.command, &around);
        self.warn(defects);
        let child = match spawned {
            Ok(child) => child,
            Err(NotStarted { status, message }) => {
                let report = ExitReport {
                    ended: Ended::NotStarted(status),
                    ran: Duration::ZERO,
                    message: Some(message),
                    output: Vec::new(),
                };
                return self.inputs.push_back(Input::NotSpawned { generation, report });
            }
        };
        let pid = child.pid as u32;
        let address = socket.as_ref().and_then(Held::tcp);
        let mut run = self.running(key, child, socket, began);
        self.inputs.push_back(Input::Spawned { generation, pid });
        self.await_ready(generation, port, address, &mut run);
        self.running.insert(generation, run);
    }

    fn warn(&mut self, defects: Vec<child::Defect>) {
        for child::Defect { message, remedy } in defects {
            self.tell(Event::Warning { message, remedy });
        }
    }

    /// A process has begun: its end is awaited, its output read.
    fn running(&mut self, key: u64, child: Child, socket: Option<Held>, began: Instant) -> Running {
        self.trees.add(key, child.pid);
        if let Some(guard) = &self.options.guard {
            guard.began(self.trees.session(), key, child.pid);
        }
        let now = Instant::now();
        let output = child.output.zip(self.sinks.as_ref());
        let output = output.map(|((stdout, stderr), (to_stdout, to_stderr))| {
            let happen = self.happen.clone();
            let reloader = move || drop(happen.send(Happening::Reloader));
            Output::new((stdout, to_stdout), (stderr, to_stderr), reloader)
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
            began,
            output: output.and_then(Result::ok),
            _stdin: child.stdin,
            terminal: child.terminal,
            socket,
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
                run.probe = Some(Probe::Elsewhere { port, at: now + ELSEWHERE_FIRST, seen: None });
                let mut addresses = ready::loopback(port);
                addresses.extend(self.elsewhere);
                addresses
            }),
            Port::Fixed(address) => Some(vec![address]),
            Port::Inherited if path.is_some() => inherited.map(|address| vec![address]),
            Port::Inherited | Port::None => {
                let passed = run.socket.as_ref().or(self.sockets.first());
                if let Some(inode) = passed.and_then(Held::inode) {
                    run.probe = Some(Probe::Waits { inode, look: Look::now(now) });
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

    fn build(&mut self, generation: u64, because: Option<Arc<Batch>>, at: usize) {
        let Some(command) = self.options.builds.get(at) else {
            return self.inputs.push_back(Input::Built { generation, failure: None });
        };
        self.keys += 1;
        let key = self.keys;
        let mut around = self.surroundings(generation, because.as_deref(), key);
        around.interactive = false;
        let began = Instant::now();
        let (spawned, defects) = child::spawn(command, &around);
        self.warn(defects);
        match spawned {
            Ok(child) => {
                let run = self.running(key, child, None, began);
                self.builds = Some(Builds { generation, because, at, cancelled: false, run });
            }
            Err(NotStarted { status, message }) => {
                let ended = Ended::NotStarted(status);
                let report =
                    ExitReport { ended, ran: Duration::ZERO, message: Some(message), output: Vec::new() };
                self.inputs.push_back(Input::Built { generation, failure: Some(report) });
            }
        }
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

    /// Looks whether generations serve that can only be known by their sockets.
    fn probe(&mut self, now: Instant) {
        for (generation, run) in &mut self.running {
            let Some(probe) = run.probe.as_mut().filter(|probe| probe.at() <= now && !run.leader_ended)
            else {
                continue;
            };
            let pids: Vec<i32> = self.trees.members(run.key).iter().map(|one| one.pid).collect();
            let found = match probe {
                Probe::Waits { inode, look } => {
                    look.later(now);
                    let waits = waits_on(&pids, *inode) || now >= run.began + DOUBT;
                    let address = run.socket.as_ref().and_then(Held::tcp);
                    waits.then_some(Input::Ready { generation: *generation, address })
                }
                Probe::Elsewhere { port, at, seen } => {
                    *at = now + ELSEWHERE_PAUSE;
                    let held: Vec<_> = self.sockets.iter().filter_map(Held::tcp).collect();
                    steady(addresses(&pids), *port, &held, seen, now)
                        .map(|address| Input::Elsewhere { generation: *generation, address })
                }
            };
            if let Some(input) = found {
                if let Input::Elsewhere { address, .. } = input {
                    self.elsewhere = Some(address);
                }
                run.probe = None;
                self.inputs.push_back(input);
            }
        }
    }

    /// Looks whether trees whose leader has ended are gone.
    fn look_around(&mut self) {
        let now = Instant::now();
        self.look_whether_stopped(now);
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
    async fn end(mut self, exit: Exit) {
        self.kill_leftovers();
        if let Some((stdout, stderr)) = &self.sinks {
            stdout.flush(FLUSH).await;
            stderr.flush(FLUSH).await;
        }
        self.tell(Event::Ended(exit));
    }

    fn kill_leftovers(&mut self) {
        for _ in 0..100 {
            let left: std::collections::BTreeSet<u64> =
                self.trees.everything().into_iter().map(|(_, key)| key).collect();
            if left.is_empty() {
                break;
            }
            left.into_iter().for_each(|key| self.trees.kill(key));
            std::thread::sleep(Duration::from_millis(1));
        }
        self.trees.reap_orphans();
        if let Some(guard) = &self.options.guard {
            guard.ended(self.trees.session());
        }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // The last resort, when the runtime ends before the supervisor: nothing is left behind even so.
        self.kill_leftovers();
    }
}

fn is_gone(trees: &mut Trees, run: &mut Running, now: Instant) -> bool {
    if trees.members(run.key).is_empty() {
        return true;
    }
    if run.killed {
        trees.kill(run.key);
    }
    run.look.later(now);
    false
}

/// The address that a tree listens on besides its own port, once it has done so for a while.
fn steady(
    mut found: Vec<SocketAddr>,
    port: u16,
    held: &[SocketAddr],
    seen: &mut Option<(SocketAddr, Instant)>,
    now: Instant,
) -> Option<SocketAddr> {
    if found.iter().any(|address| address.port() == port) {
        // Where it should be: whether it serves already is another question.
        *seen = None;
        return None;
    }
    found.retain(|address| !held.contains(address) && !DEBUGGERS.contains(&address.port()));
    let address = *found.first()?;
    match seen {
        Some((known, since)) if *known == address => {
            (now.saturating_duration_since(*since) >= ELSEWHERE_STEADY).then(|| reachable(address))
        }
        _ => {
            *seen = Some((address, now));
            None
        }
    }
}

/// An address to connect to: a server on all interfaces is reached by loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        // Most often it takes IPv4 too, but not always.
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

#[cfg(target_os = "linux")]
use super::os::listening::{addresses, waits_on};

/// Not to be known here: the doubt ends by its time.
#[cfg(not(target_os = "linux"))]
fn waits_on(_pids: &[i32], _inode: u64) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
fn addresses(_pids: &[i32]) -> Vec<SocketAddr> {
    Vec::new()
}

fn report(run: &Running, ended: Ended, now: Instant) -> ExitReport {
    if let Some(output) = &run.output {
        output.catch_up();
    }
    ExitReport {
        ended,
        ran: now.saturating_duration_since(run.began),
        message: None,
        output: run.output.as_ref().map(Output::tail).unwrap_or_default(),
    }
}

/// Unlike any other supervisor's on this machine.
fn session_name() -> String {
    use std::hash::{BuildHasher, RandomState};
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:x}.{:x}", std::process::id(), RandomState::new().hash_one(since))
}

/// A port that nobody listens on now.
fn free_port() -> Option<u16> {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
    Some(probe.local_addr().ok()?.port())
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

async fn orphaned(signal: &mut Option<tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
