//! A supervisor in a sandbox that keeps its events.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use devrun::Command;
use devrun::GenerationId;
use devrun::change::{Batch, Change, ChangeKind};
use devrun::supervise::{
    Endpoint, Event, ExitReport, Handle, OnLoop, Options, Phase, Request, Supervisor, SupervisorExit,
};

use super::sandbox::{PATIENCE, Sandbox, example};

/// A supervisor in a sandbox that keeps all its events.
pub(crate) struct TestSupervisor {
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

impl TestSupervisor {
    pub(crate) fn start(steps: &str, adjust: impl FnOnce(&mut Options)) -> Self {
        let sandbox = Sandbox::new();
        let mut options = Options::new(child(&sandbox, steps));
        options.stop_timeout = Duration::from_secs(20);
        options.on_loop = OnLoop::Restart;
        adjust(&mut options);
        Self { sandbox, supervisor: Supervisor::start(options).unwrap(), seen: Vec::new() }
    }

    /// The helper child with its steps in the file `steps`, so that a test can edit them.
    pub(crate) fn editable(steps: &str, adjust: impl FnOnce(&mut Options)) -> Self {
        let sandbox = Sandbox::new();
        sandbox.write("steps", steps);
        let line = "exec \"$0\" $(sed \"s|{}|$1|g\" \"$1/steps\")";
        let mut options = Options::new(Command::new("sh").arg("-c").arg(line));
        options.command.args.extend([example("child").into(), sandbox.root().into()]);
        options.stop_timeout = Duration::from_secs(20);
        options.on_loop = OnLoop::Restart;
        adjust(&mut options);
        Self { sandbox, supervisor: Supervisor::start(options).unwrap(), seen: Vec::new() }
    }

    pub(crate) fn handle(&self) -> Handle {
        self.supervisor.handle()
    }

    pub(crate) fn answering_sockets(&self, generation: u64) -> Vec<std::os::fd::OwnedFd> {
        self.supervisor.answering_sockets(GenerationId::new(generation))
    }

    /// The addresses of the sockets that the supervisor hands over.
    pub(crate) fn endpoints(&self) -> Vec<Endpoint> {
        self.supervisor.endpoints()
    }

    pub(crate) fn send(&self, request: Request) {
        self.handle().send(request);
    }

    pub(crate) fn change(&self) {
        self.send(Request::Changed(change("src/app.py")));
    }

    /// Waits for the next event for which `pick` returns a value.
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
            Event::Phase { generation, phase } => pick(generation.number(), phase),
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

    pub(crate) async fn ended(&mut self) -> SupervisorExit {
        let exit = |event: &Event| match event {
            Event::Ended(exit) => Some(*exit),
            _ => None,
        };
        self.wait("the end", exit).await
    }

    /// Stops the supervisor and waits for its end.
    pub(crate) async fn stop(&mut self) -> SupervisorExit {
        self.send(Request::Stop);
        self.ended().await
    }

    /// The lines of the log.
    pub(crate) fn log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.sandbox.path("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until this number of lines in the log begin with the text.
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

    /// Waits for a condition while the supervisor runs.
    #[cfg(target_os = "linux")]
    pub(crate) async fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < deadline, "gave up waiting until {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The processes that have written lines to the log, each once.
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
    Batch { changes: vec![change], first_event_at: now, compared_at: now }
}

pub(crate) fn address_of(phase: &Phase) -> Option<std::net::SocketAddr> {
    match phase {
        Phase::Ready { address } => *address,
        _ => None,
    }
}

/// The answer of the server at this address. The helper child answers its generation.
pub(crate) fn ask(address: std::net::SocketAddr) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.rsplit("\r\n").next().unwrap().to_owned()
}
