//! The child through `devrun::supervise`: what is promised for one start, one stop and one restart.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use devrun::Command;
use devrun::change::{Batch, Change, ChangeKind};
use devrun::supervise::{
    Capture, Ended, Endpoint, Event, Exit, ExitReport, Handle, OnBusy, OnExit, Options, Phase, Port, Request,
    Supervisor,
};

use crate::sandbox::{PATIENCE, Sandbox, example, lives};

/// A supervisor in a sandbox, whose events are all kept.
pub(crate) struct Rig {
    pub(crate) sandbox: Sandbox,
    supervisor: Supervisor,
    pub(crate) seen: Vec<Event>,
}

/// The helper child with these steps; `{}` in a step is the project's directory.
pub(crate) fn child(sandbox: &Sandbox, steps: &str) -> Command {
    let root = sandbox.root().to_str().unwrap();
    let steps = steps.split_whitespace().map(|word| word.replace("{}", root));
    Command::new(example("child")).args(steps)
}

impl Rig {
    pub(crate) fn start(steps: &str, adjust: impl FnOnce(&mut Options)) -> Self {
        let sandbox = Sandbox::new();
        let mut options = Options::new(child(&sandbox, steps));
        options.stop_timeout = Duration::from_secs(20);
        adjust(&mut options);
        Self { sandbox, supervisor: Supervisor::start(options).unwrap(), seen: Vec::new() }
    }

    /// The helper child again; its steps stand in the file `steps`, so that they can be edited.
    pub(crate) fn editable(steps: &str, adjust: impl FnOnce(&mut Options)) -> Self {
        let sandbox = Sandbox::new();
        sandbox.write("steps", steps);
        let line = "exec \"$0\" $(sed \"s|{}|$1|g\" \"$1/steps\")";
        let mut options = Options::new(Command::new("sh").arg("-c").arg(line));
        options.command.args.extend([example("child").into(), sandbox.root().into()]);
        options.stop_timeout = Duration::from_secs(20);
        adjust(&mut options);
        Self { sandbox, supervisor: Supervisor::start(options).unwrap(), seen: Vec::new() }
    }

    pub(crate) fn handle(&self) -> Handle {
        self.supervisor.handle()
    }

    pub(crate) fn answering_sockets(&self, generation: u64) -> Vec<std::os::fd::OwnedFd> {
        self.supervisor.answering_sockets(generation)
    }

    /// Where the sockets listen that are handed over.
    pub(crate) fn endpoints(&self) -> Vec<Endpoint> {
        self.supervisor.endpoints()
    }

    pub(crate) fn send(&self, request: Request) {
        self.handle().send(request);
    }

    pub(crate) fn change(&self) {
        self.send(Request::Changed(change("src/app.py")));
    }

    /// The next event that this picks.
    pub(crate) async fn wait<T>(&mut self, what: &str, mut pick: impl FnMut(&Event) -> Option<T>) -> T {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let Ok(event) = tokio::time::timeout_at(deadline, self.supervisor.next_event()).await else {
                panic!("gave up waiting for {what}; seen: {:#?}", self.seen);
            };
            let event = event.unwrap_or_else(|| panic!("ended before {what}; seen: {:#?}", self.seen));
            let picked = pick(&event);
            self.seen.push(event);
            if let Some(picked) = picked {
                return picked;
            }
        }
    }

    pub(crate) async fn phase<T>(&mut self, what: &str, mut pick: impl FnMut(u64, &Phase) -> Option<T>) -> T {
        self.wait(what, |event| match event {
            Event::Phase { generation, phase } => pick(*generation, phase),
            _ => None,
        })
        .await
    }

    pub(crate) async fn ready(&mut self, wanted: u64) {
        let ready =
            |number, phase: &Phase| (number == wanted && matches!(phase, Phase::Ready { .. })).then_some(());
        self.phase(&format!("generation {wanted} to be ready"), ready).await;
    }

    pub(crate) async fn report(&mut self) -> ExitReport {
        let report = |_, phase: &Phase| match phase {
            Phase::Exited(report) | Phase::Failed(report) | Phase::BuildFailed(report) => {
                Some(report.clone())
            }
            _ => None,
        };
        self.phase("a report", report).await
    }

    pub(crate) async fn ended(&mut self) -> Exit {
        let exit = |event: &Event| match event {
            Event::Ended(exit) => Some(*exit),
            _ => None,
        };
        self.wait("the end", exit).await
    }

    /// Stops and checks that it ends.
    pub(crate) async fn stop(&mut self) -> Exit {
        self.send(Request::Stop);
        self.ended().await
    }

    /// The lines of the log.
    pub(crate) fn log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.sandbox.path("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until so many lines of the log begin with this.
    pub(crate) async fn logged(&self, text: &str, count: usize) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let lines: Vec<_> = self.log().into_iter().filter(|line| line.starts_with(text)).collect();
            if lines.len() >= count {
                return lines;
            }
            assert!(Instant::now() < deadline, "no {count} lines {text:?} in {:#?}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits for a condition while the supervisor goes on.
    #[cfg(target_os = "linux")]
    pub(crate) async fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < deadline, "gave up waiting until {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The processes that have put lines into the log, each once.
    pub(crate) fn pids(&self) -> Vec<i32> {
        let pid = |line: &String| line.split(' ').nth(1)?.parse().ok();
        let mut pids: Vec<i32> = self.log().iter().filter_map(pid).collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }
}

pub(crate) fn change(path: &str) -> Batch {
    let now = Instant::now();
    let change = Change { path: PathBuf::from("/project").join(path), kind: ChangeKind::Modified };
    Batch { changes: vec![change], first: now, last: now }
}

fn restarts(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::Restarting { .. })).count()
}

#[tokio::test]
async fn a_child_is_started_restarted_on_a_change_and_stopped() {
    let mut rig = Rig::start("log {}/log up", |_| {});
    rig.ready(1).await;
    rig.logged("up", 1).await;
    rig.change();
    rig.ready(2).await;
    rig.logged("up", 2).await;
    assert_eq!(restarts(&rig.seen), 1);
    assert_eq!(rig.stop().await, Exit::Asked);
    assert!(rig.pids().into_iter().all(|pid| !lives(pid)));
}

#[tokio::test]
async fn a_change_from_before_the_start_restarts_nothing() {
    let old = change("old.py");
    let mut rig = Rig::start("log {}/log up", |_| {});
    rig.ready(1).await;
    rig.send(Request::Changed(old));
    rig.send(Request::Changed(change("new.py")));
    rig.ready(2).await;
    rig.stop().await;
    assert_eq!(restarts(&rig.seen), 1, "{:#?}", rig.seen);
}

#[tokio::test]
async fn a_stopped_child_can_be_stopped() {
    let mut rig = Rig::start("log {}/log up stop sleep", |_| {});
    rig.logged("up", 1).await;
    assert_eq!(rig.stop().await, Exit::Asked);
    assert!(rig.pids().into_iter().all(|pid| !lives(pid)));
}

#[tokio::test]
async fn fast_restarts_never_meet_their_own_port() {
    let mut rig = Rig::start("fork ignore 15 hold log {}/log held sleep end sleep", |options| {
        let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = probe.local_addr().unwrap().port().to_string();
        options.command = options.command.clone().env("PORT", port);
        options.stop_timeout = Duration::from_millis(20);
    });
    for generation in 1..=50 {
        rig.logged("held", generation).await;
        rig.change();
        rig.ready(generation as u64 + 1).await;
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_crash_is_reported_and_the_next_change_starts_again() {
    let mut rig =
        Rig::start("print hello complain alas wait 50 exit 7", |options| options.capture = Capture::All);
    let report = rig.report().await;
    assert_eq!(report.ended, Ended::Status(7));
    assert!(report.ran >= Duration::from_millis(50));
    // Two pipes: which line comes first is open.
    let output = String::from_utf8(report.output).unwrap();
    assert!(output == "hello\nalas\n" || output == "alas\nhello\n", "{output:?}");
    rig.change();
    assert_eq!(rig.report().await.ended, Ended::Status(7));
    rig.stop().await;
}

#[tokio::test]
async fn a_signal_is_reported_by_name() {
    let mut rig = Rig::start("die 11", |_| {});
    let Ended::Signal(signal) = rig.report().await.ended else { panic!("{:?}", rig.seen) };
    assert_eq!(signal.to_string(), "SIGSEGV");
    rig.stop().await;
}

#[tokio::test]
async fn what_cannot_be_started_says_why() {
    let sandbox = Sandbox::new();
    let script = sandbox.write("app.py", "#!/usr/bin/python9\n");
    let plain = sandbox.write("plain.sh", "exit 5\n");
    let windows = sandbox.write("dos.sh", "#!/bin/sh\r\nexit 0\r\n");
    let executable = |path: &PathBuf| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let first = async |command: Command| {
        let mut supervisor = Supervisor::start(Options::new(command)).unwrap();
        let mut message = String::new();
        loop {
            match supervisor.next_event().await.unwrap() {
                Event::Phase { phase: Phase::Failed(report), .. } => message = report.message.unwrap(),
                Event::Phase { phase: Phase::Exited(report), .. } => {
                    supervisor.handle().send(Request::Stop);
                    message = format!("{:?}", report.ended);
                }
                Event::Ended(exit) => return (exit, message),
                _ => {}
            }
        }
    };
    let (exit, message) = first(Command::new(script.clone())).await;
    assert_eq!(exit, Exit::NotStarted(126));
    assert!(message.contains("not executable; chmod +x"), "{message}");
    executable(&script);
    let (exit, message) = first(Command::new(script)).await;
    assert_eq!(exit, Exit::NotStarted(127));
    assert!(message.contains("its interpreter /usr/bin/python9 does not exist"), "{message}");
    executable(&windows);
    let (_, message) = first(Command::new(windows)).await;
    assert!(message.contains("carriage return"), "{message}");
    let (exit, message) = first(Command::new(sandbox.root())).await;
    assert_eq!(exit, Exit::NotStarted(126));
    assert!(message.contains("is a directory"), "{message}");
    let (exit, message) = first(Command::new("gti")).await;
    assert_eq!(exit, Exit::NotStarted(127));
    assert!(message.contains("did you mean git?"), "{message}");
    let (exit, message) = first(Command::new("./nowhere")).await;
    assert_eq!(exit, Exit::NotStarted(127));
    assert!(message.contains("no such file"), "{message}");
    executable(&plain);
    let (_, message) = first(Command::new(plain)).await;
    assert_eq!(message, "Status(5)", "a script without a first line is run by the shell");
    let mut lost = Command::new("true");
    lost.workdir = Some("/nowhere/at/all".into());
    let (exit, message) = first(lost).await;
    assert_eq!(exit, Exit::NotStarted(126));
    assert!(message.contains("/nowhere/at/all"), "{message}");
}

#[tokio::test]
async fn the_first_exit_ends_it_with_on_exit_quit() {
    let mut rig = Rig::start("exit 3", |options| options.on_exit = OnExit::Quit);
    assert_eq!(rig.ended().await, Exit::Child(Ended::Status(3)));
}

#[tokio::test]
async fn a_crash_loop_backs_off() {
    let mut rig = Rig::start("exit 1", |options| options.on_exit = OnExit::Restart);
    let mut waits = Vec::new();
    while waits.len() < 4 {
        let backoff = |event: &Event| match event {
            Event::Waiting { backoff } => Some(*backoff),
            _ => None,
        };
        waits.push(rig.wait("a backoff", backoff).await.unwrap().as_millis());
    }
    assert_eq!(waits, [100, 200, 400, 800]);
    rig.stop().await;
}

#[tokio::test]
async fn a_busy_child_is_left_alone_with_queue_signalled_with_signal() {
    let mut rig = Rig::start("log {}/log up wait 300 exit 0", |options| options.on_busy = OnBusy::Queue);
    rig.logged("up", 1).await;
    rig.change();
    rig.ready(2).await;
    assert_eq!(rig.seen.iter().filter(|event| is_stopping(event)).count(), 0);
    rig.stop().await;

    let mut rig = Rig::start("on 15 {}/log got log {}/log up sleep", |options| {
        options.on_busy = OnBusy::Signal;
        options.stop_timeout = Duration::from_millis(50);
    });
    rig.logged("up", 1).await;
    rig.change();
    rig.logged("got", 1).await;
    assert_eq!(restarts(&rig.seen), 0);
    rig.stop().await;
}

fn is_stopping(event: &Event) -> bool {
    matches!(event, Event::Phase { phase: Phase::Stopping, generation: 1 })
}

#[tokio::test]
async fn generations_overlap_on_ports_of_their_own() {
    let mut rig = Rig::start("log {}/log up serve 100", |options| options.port = Port::Own);
    rig.ready(1).await;
    rig.change();
    rig.ready(2).await;
    let both = rig.pids();
    assert_eq!(both.len(), 2);
    assert!(both.iter().all(|pid| lives(*pid)) || !rig.seen.iter().any(is_stopping));
    let gone = |number, phase: &Phase| (number == 1 && *phase == Phase::Stopped).then_some(());
    rig.phase("the old one to stop", gone).await;
    rig.stop().await;
    assert!(both.into_iter().all(|pid| !lives(pid)));
}

#[tokio::test]
async fn standard_input_stays_open_and_empty() {
    let mut rig = Rig::start("fork read {}/log end log {}/log up sleep", |_| {});
    rig.logged("up", 1).await;
    assert!(!rig.log().iter().any(|line| line.starts_with("eof")));
    rig.stop().await;
}

pub(crate) fn address_of(phase: &Phase) -> Option<std::net::SocketAddr> {
    match phase {
        Phase::Ready { address } => *address,
        _ => None,
    }
}

/// What the server at this address answers; the helper answers its generation.
pub(crate) fn ask(address: std::net::SocketAddr) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.rsplit("\r\n").next().unwrap().to_owned()
}
