//! Cases of the state machine as text files.
//!
//! A case is a file under `tests/cases/machine`. `= OPTION…` sets the options, `> MS INPUT` feeds an input at
//! this millisecond, and the lines after it are the actions that must follow, in order.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::action::{Action, Input, SignalTarget};
use super::machine::Machine;
use crate::change::{Batch, Change, ChangeKind};
use crate::supervise::command::{Command, Stdin};
use crate::supervise::event::{Event, ExitReport, Outcome, Phase, ProcessExit, Request};
use crate::supervise::options::{OnBusy, OnExit, OnLoop, Options, Port, StopScope};
use crate::supervise::signal::Signal;
use crate::supervise::sockets::{Endpoint, Listen};
use crate::supervise::sys::pid::Pid;
use crate::{GenerationId, Remedy, SyncId};

pub(super) fn options(words: &str) -> Options {
    let mut options = Options::new(Command::new("server"));
    for word in words.split_whitespace() {
        match word {
            "own-port" => options.port = Port::Own,
            "fixed-port" => options.port = Port::Fixed(address()),
            "listen" => {
                let endpoint = Endpoint::Tcp(address());
                options.listen.push(Listen { name: None, endpoint, answer: true });
            }
            "no-overlap" => options.overlap = false,
            "drain" => options.drain_timeout = Some(Duration::from_secs(30)),
            "build" => options.builds.push(Command::new("make")),
            "env-file" => options.command.env_files.push(".env".into()),
            "postpone" => options.postpone = true,
            "queue" => options.on_busy = OnBusy::Queue,
            "signal" => options.on_busy = OnBusy::Signal,
            "ignore" => options.on_busy = OnBusy::Ignore,
            "restart-on-exit" => options.on_exit = OnExit::Restart,
            "quit-on-exit" => options.on_exit = OnExit::Quit,
            "stop-group" => options.stop_scope = StopScope::Group,
            "loop" => options.on_loop = OnLoop::Restart,
            "terminal" => options.command.stdin = Stdin::Inherit,
            other => panic!("no option is called {other}"),
        }
    }
    options
}

fn address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 5000))
}

pub(super) fn batch(at: Instant) -> Batch {
    let change = Change { path: "/project/app.py".into(), kind: ChangeKind::Modified };
    Batch { changes: vec![change], first_event_at: at, compared_at: at }
}

/// `change [PATH[=created|=removed]]…`
fn changed(words: &[&str], at: Instant) -> Request {
    let mut batch = batch(at);
    if !words.is_empty() {
        batch.changes.clear();
    }
    for word in words {
        let (name, kind) = word.split_once('=').unwrap_or((word, ""));
        let path = std::path::Path::new("/project").join(name);
        let kind = match kind {
            "created" => ChangeKind::Created,
            "removed" => ChangeKind::Removed,
            _ => ChangeKind::Modified,
        };
        batch.changes.push(Change { path, kind });
    }
    Request::Changed(batch)
}

pub(super) fn report(ended: ProcessExit) -> ExitReport {
    ExitReport { ended, ran: Duration::ZERO, message: None, remedy: Remedy::None, output: Vec::new() }
}

fn input(words: &str, now: Instant) -> Input {
    let words: Vec<&str> = words.split(' ').collect();
    let number = words.get(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    let generation = GenerationId::new(number);
    match words[0] {
        "begin" => Input::Begin,
        "change" => Input::Request(changed(&words[1..], now)),
        "stale-change" => Input::Request(Request::Changed(batch(now - Duration::from_secs(1)))),
        "restart" => Input::Request(Request::Restart),
        "drained" => Input::Request(Request::Drained(generation)),
        "pause" => Input::Request(Request::Pause),
        "resume" => Input::Request(Request::Resume),
        "settle" => Input::Request(Request::Settle(SyncId::new(number))),
        "forget" => Input::Request(Request::Forget(SyncId::new(number))),
        "halt" => Input::Request(Request::Halt),
        "start" => Input::Request(Request::Start),
        "stop" => Input::Request(Request::Stop),
        "kill" => Input::Request(Request::Kill),
        "built" => Input::Built { generation, failure: None },
        "build-failed" => Input::Built { generation, failure: Some(report(ProcessExit::Status(101))) },
        "spawned" => Input::Spawned { generation, pid: 100 },
        "not-spawned" => Input::SpawnFailed { generation, report: report(ProcessExit::NotStarted(127)) },
        "ready" => Input::Ready { generation, address: None },
        "elsewhere" => {
            Input::ListensElsewhere { generation, address: address(), endpoint: Endpoint::Tcp(address()) }
        }
        "conflict" => {
            let (holder, address) = (GenerationId::new(number - 1), Some(address()));
            Input::Conflict { generation, holder, address, words: "address already in use".to_owned() }
        }
        "port-lingers" => Input::PortLingers { generation, port: 9000 },
        "not-ready" => {
            let (message, remedy) = ("not ready after 60 s".to_owned(), Remedy::AllowMoreTime);
            Input::NotReady { generation, message, remedy, output: b"output".to_vec() }
        }
        "exited" => Input::LeaderExited { generation, report: report(ProcessExit::Status(1)) },
        "interrupted" => Input::LeaderExited { generation, report: report(ProcessExit::Signal(Signal::INT)) },
        "refused" => {
            let (user, command) = ("root".to_owned(), "sudo ./server".to_owned());
            Input::SignalRefused { generation, pid: Pid::new(100), user, command }
        }
        "gone" => Input::TreeGone { generation },
        "time" => Input::TimePassed,
        other => panic!("no input is called {other}"),
    }
}

fn line(action: &Action) -> String {
    match action {
        Action::Build { generation, .. } => format!("build {generation}"),
        Action::StopBuilds => "cancel-build".to_owned(),
        Action::KillBuilds => "kill-build".to_owned(),
        Action::DiagnoseReadiness { generation } => format!("diagnose {generation}"),
        Action::Spawn { generation, because } => {
            format!("spawn {generation}{}", if because.is_some() { " because" } else { "" })
        }
        Action::Signal { generation, target, signal } => match target {
            SignalTarget::Tree => format!("signal-tree {generation}"),
            SignalTarget::Leader => format!("signal {generation}"),
            SignalTarget::Rest => format!("signal-rest {generation}"),
            SignalTarget::Group => format!("deliver {generation} {signal}"),
        },
        Action::KillTree { generation, .. } => format!("kill {generation}"),
        Action::Abandon { generation } => format!("abandon {generation}"),
        Action::Finish(exit) => format!("end {exit:?}"),
        Action::Emit(Event::Phase { generation, phase }) => {
            let name = format!("{phase:?}");
            let name = name.split([' ', '(', '{']).next().unwrap_or_default();
            let hint = matches!(phase, Phase::Failed(report) if report.remedy == Remedy::TakeTurns);
            format!("tell {} {generation}{}", name.to_lowercase(), if hint { " take-turns" } else { "" })
        }
        Action::Emit(Event::Settled { id, outcome }) => format!("answer {} {}", id.number(), words(outcome)),
        Action::Emit(Event::Restarting { generation, .. }) => format!("tell restarting {generation}"),
        Action::Emit(Event::Waiting { backoff }) => match backoff {
            Some(backoff) => format!("tell waiting {}", backoff.as_millis()),
            None => "tell waiting".to_owned(),
        },
        Action::Emit(Event::ListensElsewhere { generation, .. }) => format!("tell elsewhere {generation}"),
        Action::Emit(Event::Warning { message, .. }) if message.starts_with("port 9000") => {
            "tell lingers 9000".to_owned()
        }
        Action::Emit(Event::TakesTurns { generation, holder, .. }) => {
            format!("tell turns {generation} {holder}")
        }
        Action::Emit(Event::RestartLoop { path, directory, times }) => {
            let looping = directory.as_ref().unwrap_or(path);
            let name = looping.strip_prefix("/project").unwrap_or(looping).display();
            let what = if directory.is_some() { "directory" } else { "file" };
            format!("tell loop {what} {name} {times}")
        }
        Action::Emit(other) => format!("tell {other:?}"),
    }
}

fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ready { generation } => format!("ready {generation}"),
        Outcome::Failed { generation, .. } => format!("failed {generation}"),
        Outcome::Ended { generation, .. } => format!("ended {generation}"),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// Replays one case and writes down what really happens.
fn replay(case: &str) -> String {
    let start = Instant::now() + Duration::from_secs(1000);
    let mut machine = Machine::new(options("").into());
    let mut text = String::new();
    for given in case.lines() {
        if let Some(words) = given.strip_prefix("= ") {
            machine = Machine::new(options(words).into());
        } else if let Some(words) = given.strip_prefix("> ") {
            let (at, words) = words.split_once(' ').unwrap();
            let now = start + Duration::from_millis(at.parse().unwrap());
            text += &format!("{given}\n");
            for action in machine.step(input(words, now), now) {
                text += &format!("{}\n", line(&action));
            }
            continue;
        } else if !given.is_empty() && !given.starts_with('#') {
            continue;
        }
        text += &format!("{given}\n");
    }
    text
}

#[test]
fn the_cases_hold() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/machine");
    let mut count = 0;
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let case = std::fs::read_to_string(entry.path()).unwrap();
        let really = replay(&case);
        assert_eq!(
            really,
            case,
            "{} (left: what happens, right: what should)\n{really}",
            entry.path().display()
        );
        count += 1;
    }
    assert!(count >= 10, "the cases are there");
}
