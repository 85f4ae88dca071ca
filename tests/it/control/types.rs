//! `control::Server` and `control::Client` over a session of the library.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use devrun::control::protocol::{
    LogsParams, Proof, RestartOutcome, ServerNotification, ServiceOutcome, State, WaitOutcome, WaitParams,
    WhyParams,
};
use devrun::control::{Client, Directory, Options, OwnerRequest, Server, Service};
use devrun::supervise::{Capture, OnLoop, OutputLog, Request};
use devrun::watch::Mode;
use devrun::{Command, Session};

use crate::support::sandbox::{PATIENCE, Sandbox, at_once, wait_for, wait_until};

/// A session with a server, driven by a thread with a runtime of its own.
pub(super) struct Controlled {
    pub(super) socket: PathBuf,
    end: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Controlled {
    /// Runs a line of sh in the sandbox, as the service `web`.
    pub(super) fn start(sandbox: &Sandbox, line: &str, mode: Mode) -> Self {
        let mut options =
            devrun::Options::in_directory(sandbox.root(), Command::new("sh").args(["-c", line]));
        options.watch.mode = mode;
        options.watch.poll_interval = Duration::from_millis(50);
        options.watch.rules = options.watch.rules.pattern("seen.*").pattern("pid");
        options.supervise.on_loop = OnLoop::Restart;
        options.supervise.capture = Capture::All;
        options.supervise.log = Some(OutputLog::new());
        let directory = Directory::create(sandbox.outside().join("sockets")).unwrap();
        let server = Options::new(sandbox.root(), "web", directory);
        let (end, ended) = tokio::sync::oneshot::channel();
        let (started, start) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut server = Server::start(&server).unwrap();
                let mut session = Session::start(options.clone()).await.unwrap();
                let mut service = Service::new("web", session.handle(), &options);
                service.settle_time = Duration::ZERO;
                server.add(service);
                started.send(server.path().to_owned()).unwrap();
                tokio::pin!(ended);
                let mut is_stopping = false;
                loop {
                    let stops = tokio::select! {
                        event = session.next_event() => match event {
                            Some(event) => {
                                server.observe("web", &event);
                                false
                            }
                            None => return,
                        },
                        request = server.next_request() => request == OwnerRequest::Down,
                        _ = &mut ended, if !is_stopping => true,
                    };
                    if stops {
                        is_stopping = true;
                        session.handle().send(Request::Stop);
                    }
                }
            });
        });
        let socket = start.recv().unwrap();
        Self { socket, end: Some(end), thread: Some(thread) }
    }

    /// Asks the server.
    pub(super) fn ask<T>(&self, ask: impl AsyncFnOnce(&mut Client) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut client = Client::connect(&self.socket).await.unwrap();
            tokio::time::timeout(PATIENCE, ask(&mut client)).await.expect("an answer arrives in time")
        })
    }

    /// What became of the files as they are now.
    pub(super) fn wait(&self) -> (ServiceOutcome, Option<u64>) {
        let mut waited = self.ask(async |client| client.wait(WaitParams::default()).await).unwrap();
        let service = waited.services.pop().unwrap();
        assert_eq!(waited.outcome == WaitOutcome::Ready, service.outcome.is_success());
        (service.outcome, service.generation)
    }
}

impl Drop for Controlled {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take()
            && !std::thread::panicking()
        {
            thread.join().unwrap();
        }
    }
}

#[test]
fn an_answer_is_never_about_the_code_before_the_edit() {
    at_once([Mode::Event, Mode::Stat], |mode| {
        let sandbox = Sandbox::new();
        sandbox.write("app.txt", "0");
        let line = "cat app.txt > seen.$DEVRUN_GENERATION; exec sleep 1000";
        let controlled = Controlled::start(&sandbox, line, mode);
        for number in 1..=500 {
            sandbox.write("app.txt", number.to_string());
            let (outcome, generation) = controlled.wait();
            assert_eq!(outcome, ServiceOutcome::Ready, "edit {number}");
            let seen = sandbox.path(format!("seen.{}", generation.unwrap()));
            let seen = wait_for("the generation has read the file", || {
                std::fs::read_to_string(&seen).ok().filter(|text| !text.is_empty())
            });
            assert_eq!(seen, number.to_string());
        }
    });
}

#[test]
fn a_failure_is_the_answer_with_its_output_and_why_names_it() {
    let sandbox = Sandbox::new();
    sandbox.write("app.txt", "good");
    let line = "grep good app.txt || { echo SyntaxError: bad >&2; exit 3; }; exec sleep 1000";
    let controlled = Controlled::start(&sandbox, line, Mode::Event);
    assert_eq!(controlled.wait(), (ServiceOutcome::Ready, Some(1)));
    sandbox.write("app.txt", "bad");
    // Without a port a generation is ready as soon as it runs, so it may end before or after that.
    wait_until("the generation has ended", || controlled.wait().0 == ServiceOutcome::Exited);
    let status = controlled.ask(async |client| client.status(&[]).await).unwrap();
    let service = &status.services[0];
    assert_eq!((service.state, service.pid, service.restarts), (State::Exited, None, 1));
    assert_eq!(service.failure.as_ref().unwrap().output, ["SyntaxError: bad"]);
    sandbox.write("app.txt", "good again");
    assert_eq!(controlled.wait(), (ServiceOutcome::Ready, Some(3)));
    let why = controlled.ask(async |client| client.why(WhyParams::default()).await).unwrap();
    let restarts = &why.services[0].restarts;
    assert_eq!(restarts.len(), 3);
    assert_eq!(restarts[1].outcome, RestartOutcome::Exited);
    assert_eq!(restarts[1].failure.as_ref().unwrap().message, "exited with status 3");
    let change = &restarts[2].changes[0];
    assert_eq!((&*change.path, &*change.kind, change.proof), ("app.txt", "changed", Proof::Content));
    assert!(restarts[2].to_start_us.unwrap() > 0);
}

#[test]
fn a_service_is_stopped_paused_restarted_and_started() {
    let sandbox = Sandbox::new();
    sandbox.write("app.txt", "one");
    let controlled = Controlled::start(&sandbox, "exec sleep 1000", Mode::Event);
    assert_eq!(controlled.wait(), (ServiceOutcome::Ready, Some(1)));
    controlled.ask(async |client| client.stop(&[]).await).unwrap();
    assert_eq!(controlled.wait().0, ServiceOutcome::Halted);
    wait_until("nothing runs", || {
        let status = controlled.ask(async |client| client.status(&[]).await).unwrap();
        status.services[0].halted && status.services[0].pid.is_none()
    });
    sandbox.write("app.txt", "two");
    assert_eq!(controlled.wait().0, ServiceOutcome::Halted);
    controlled.ask(async |client| client.start(&["web".to_owned()]).await).unwrap();
    assert_eq!(controlled.wait(), (ServiceOutcome::Ready, Some(2)));
    controlled.ask(async |client| client.pause(&[]).await).unwrap();
    sandbox.write("app.txt", "three");
    assert_eq!(controlled.wait().0, ServiceOutcome::Paused);
    controlled.ask(async |client| client.resume(&[]).await).unwrap();
    assert_eq!(controlled.wait(), (ServiceOutcome::Ready, Some(3)));
    controlled.ask(async |client| client.restart(&[]).await).unwrap();
    assert_eq!(controlled.wait(), (ServiceOutcome::Ready, Some(4)));
    let error = controlled.ask(async |client| client.start(&["db".to_owned()]).await).unwrap_err();
    assert_eq!(error.to_string(), "there is no service \"db\"");
}

#[test]
fn logs_hold_the_output_of_each_generation_and_input_reaches_the_newest() {
    let sandbox = Sandbox::new();
    sandbox.write("app.txt", "one");
    let line =
        "echo generation $DEVRUN_GENERATION; printf 'name? '; read name; echo hello $name; exec sleep 1000";
    let controlled = Controlled::start(&sandbox, line, Mode::Event);
    let logs = |generation: Option<u64>| {
        let mut text = String::new();
        let params = LogsParams { generation, ..LogsParams::default() };
        let each = |notification| {
            if let ServerNotification::Log(entry) = notification {
                text += &entry.output.text;
            }
            ControlFlow::Continue(())
        };
        controlled.ask(async |client| client.logs(params, each).await).unwrap();
        text
    };
    wait_until("it asks", || logs(None) == "generation 1\nname? ");
    sandbox.write("app.txt", "two");
    assert_eq!(controlled.wait(), (ServiceOutcome::Ready, Some(2)));
    wait_until("the second one asks", || logs(Some(2)) == "generation 2\nname? ");
    let answered = controlled.ask(async |client| {
        use devrun::control::protocol::{Bytes, ClientNotification};
        client.attach(None).await.unwrap();
        client.notify(&ClientNotification::Input(Bytes::new(b"Ada\n"))).await.unwrap();
        let mut text = String::new();
        while !text.contains("hello Ada") {
            if let Some(ServerNotification::Log(entry)) = client.next_notification().await.unwrap() {
                text += &entry.output.text;
            }
        }
        text
    });
    assert_eq!(answered, "generation 2\nname? hello Ada\n");
    assert_eq!(logs(Some(1)), "generation 1\nname? ");
}

#[test]
fn a_follower_gets_output_until_the_end_and_a_late_wait_is_late() {
    let sandbox = Sandbox::new();
    sandbox.write("app.txt", "one");
    let controlled = Controlled::start(&sandbox, "while read word; do echo got $word; done", Mode::Event);
    assert_eq!(controlled.wait().0, ServiceOutcome::Ready);
    let hold = sandbox.path(".git");
    std::fs::create_dir(&hold).unwrap();
    let pause = controlled.ask(async |client| client.hello().await).unwrap();
    assert_eq!((&*pause.instance.name, pause.instance.project()), ("web", sandbox.root().to_owned()));
    let socket = controlled.socket.clone();
    let follower = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut client = Client::connect(&socket).await.unwrap();
            let mut text = String::new();
            let params = LogsParams { follow: true, ..LogsParams::default() };
            let each = |notification| {
                if let ServerNotification::Log(entry) = notification {
                    text += &entry.output.text;
                }
                ControlFlow::Continue(())
            };
            let error = client.logs(params, each).await.unwrap_err();
            assert!(matches!(error, devrun::control::Error::Closed | devrun::control::Error::Connection(_)));
            text
        })
    });
    controlled.ask(async |client| {
        use devrun::control::protocol::{Bytes, ClientNotification};
        client.attach(Some("web".to_owned())).await.unwrap();
        for word in ["one\n", "two\n"] {
            client.notify(&ClientNotification::Input(Bytes::new(word.as_bytes()))).await.unwrap();
        }
        let mut text = String::new();
        while !text.contains("got two") {
            if let Some(ServerNotification::Log(entry)) = client.next_notification().await.unwrap() {
                text += &entry.output.text;
            }
        }
    });
    controlled.ask(async |client| client.down().await).unwrap();
    assert_eq!(follower.join().unwrap(), "got one\ngot two\n");
}
