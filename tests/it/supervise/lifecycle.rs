//! The child through `devrun::supervise`: one start, one stop and one restart.

use std::path::PathBuf;
use std::time::Duration;

use devrun::Command;
use devrun::supervise::{
    Capture, Event, OnBusy, OnExit, Options, Phase, Port, ProcessExit, Request, Supervisor, SupervisorExit,
};
use devrun::{GenerationId, Remedy};

use crate::support::sandbox::{Sandbox, lives};
use crate::support::supervisor::{TestSupervisor, change};

fn restarts(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::Restarting { .. })).count()
}

#[tokio::test]
async fn a_child_is_started_restarted_on_a_change_and_stopped() {
    let mut supervisor = TestSupervisor::start("log {}/log up", |_| {});
    supervisor.ready(1).await;
    supervisor.logged("up", 1).await;
    supervisor.change();
    supervisor.ready(2).await;
    supervisor.logged("up", 2).await;
    assert_eq!(restarts(&supervisor.seen), 1);
    assert_eq!(supervisor.stop().await, SupervisorExit::Asked);
    assert!(supervisor.pids().into_iter().all(|pid| !lives(pid)));
}

#[tokio::test]
async fn a_change_from_before_the_start_restarts_nothing() {
    let old = change("old.py");
    let mut supervisor = TestSupervisor::start("log {}/log up", |_| {});
    supervisor.ready(1).await;
    supervisor.send(Request::Changed(old));
    supervisor.send(Request::Changed(change("new.py")));
    supervisor.ready(2).await;
    supervisor.stop().await;
    assert_eq!(restarts(&supervisor.seen), 1, "{:#?}", supervisor.seen);
}

#[tokio::test]
async fn a_stopped_child_can_be_stopped() {
    let mut supervisor = TestSupervisor::start("log {}/log up stop sleep", |_| {});
    supervisor.logged("up", 1).await;
    assert_eq!(supervisor.stop().await, SupervisorExit::Asked);
    assert!(supervisor.pids().into_iter().all(|pid| !lives(pid)));
}

#[tokio::test]
async fn fast_restarts_never_find_their_port_in_use() {
    let mut supervisor =
        TestSupervisor::start("fork ignore 15 hold log {}/log held sleep end sleep", |options| {
            let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let port = probe.local_addr().unwrap().port().to_string();
            options.command = options.command.clone().env("PORT", port);
            options.stop_timeout = Duration::from_millis(20);
        });
    for generation in 1..=50 {
        supervisor.logged("held", generation).await;
        supervisor.change();
        supervisor.ready(generation as u64 + 1).await;
    }
    supervisor.stop().await;
}

#[tokio::test]
async fn a_crash_is_reported_and_the_next_change_starts_again() {
    let mut supervisor = TestSupervisor::start("print hello complain alas wait 50 exit 7", |options| {
        options.capture = Capture::All
    });
    let report = supervisor.report().await;
    assert_eq!(report.ended, ProcessExit::Status(7));
    assert!(report.ran >= Duration::from_millis(50));
    // The two streams have two pipes, so their lines may arrive in either order.
    let output = String::from_utf8(report.output).unwrap();
    assert!(output == "hello\nalas\n" || output == "alas\nhello\n", "{output:?}");
    supervisor.change();
    assert_eq!(supervisor.report().await.ended, ProcessExit::Status(7));
    supervisor.stop().await;
}

#[tokio::test]
async fn a_signal_is_reported_by_name() {
    let mut supervisor = TestSupervisor::start("die 11", |_| {});
    let ProcessExit::Signal(signal) = supervisor.report().await.ended else {
        panic!("{:?}", supervisor.seen)
    };
    assert_eq!(signal.to_string(), "SIGSEGV");
    supervisor.stop().await;
}

#[tokio::test]
async fn a_command_that_cannot_start_has_a_reason() {
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
                Event::Phase { phase: Phase::Failed(report), .. } => {
                    message = format!("{}; {:?}", report.message.unwrap(), report.remedy);
                }
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
    assert_eq!(exit, SupervisorExit::NotStarted(126));
    assert!(message.contains("not executable") && message.contains("chmod +x"), "{message}");
    executable(&script);
    let (exit, message) = first(Command::new(script)).await;
    assert_eq!(exit, SupervisorExit::NotStarted(127));
    assert!(message.contains("its interpreter /usr/bin/python9 does not exist"), "{message}");
    executable(&windows);
    let (_, message) = first(Command::new(windows)).await;
    assert!(message.contains("carriage return"), "{message}");
    let (exit, message) = first(Command::new(sandbox.root())).await;
    assert_eq!(exit, SupervisorExit::NotStarted(126));
    assert!(message.contains("is a directory"), "{message}");
    let (exit, message) = first(Command::new("gti")).await;
    assert_eq!(exit, SupervisorExit::NotStarted(127));
    assert!(message.contains("FindProgram"), "{message}");
    let (exit, message) = first(Command::new("./nowhere")).await;
    assert_eq!(exit, SupervisorExit::NotStarted(127));
    assert!(message.contains("no such file"), "{message}");
    executable(&plain);
    let (_, message) = first(Command::new(plain)).await;
    assert_eq!(message, "Status(5)", "a script without a first line is run by the shell");
    let mut lost = Command::new("true");
    lost.current_dir = Some("/nowhere/at/all".into());
    let (exit, message) = first(lost).await;
    assert_eq!(exit, SupervisorExit::NotStarted(126));
    assert!(message.contains("/nowhere/at/all"), "{message}");
}

#[tokio::test]
async fn the_first_exit_ends_the_supervisor_with_on_exit_quit() {
    let mut supervisor = TestSupervisor::start("exit 3", |options| options.on_exit = OnExit::Quit);
    assert_eq!(supervisor.ended().await, SupervisorExit::Child(ProcessExit::Status(3)));
}

#[tokio::test]
async fn a_crash_loop_backs_off() {
    let mut supervisor = TestSupervisor::start("exit 1", |options| options.on_exit = OnExit::Restart);
    let mut waits = Vec::new();
    while waits.len() < 4 {
        let backoff = |event: &Event| match event {
            Event::Waiting { backoff } => Some(*backoff),
            _ => None,
        };
        waits.push(supervisor.wait("a backoff", backoff).await.unwrap().as_millis());
    }
    assert_eq!(waits, [100, 200, 400, 800]);
    supervisor.stop().await;
}

#[tokio::test]
async fn a_busy_child_continues_with_queue_and_gets_a_signal_with_signal() {
    let mut supervisor =
        TestSupervisor::start("log {}/log up wait 300 exit 0", |options| options.on_busy = OnBusy::Queue);
    supervisor.logged("up", 1).await;
    supervisor.change();
    supervisor.ready(2).await;
    assert_eq!(supervisor.seen.iter().filter(|event| is_stopping(event)).count(), 0);
    supervisor.stop().await;

    let mut supervisor = TestSupervisor::start("on 15 {}/log got log {}/log up sleep", |options| {
        options.on_busy = OnBusy::Signal;
        options.stop_timeout = Duration::from_millis(50);
    });
    supervisor.logged("up", 1).await;
    supervisor.change();
    supervisor.logged("got", 1).await;
    assert_eq!(restarts(&supervisor.seen), 0);
    supervisor.stop().await;
}

/// `cp` writes into the file of a program that runs.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_build_that_cannot_replace_the_running_program_is_told_how() {
    let sandbox = Sandbox::new();
    let server = sandbox.path("server");
    let mut supervisor = TestSupervisor::start("", |options| {
        let line = format!("cp \"$(command -v sleep)\" {}", server.display());
        options.builds.push(Command::new("sh").args(["-c", &line]).env("LC_ALL", "C"));
        options.command = Command::new(&server).arg("600");
        options.capture = Capture::All;
    });
    supervisor.ready(1).await;
    supervisor.change();
    let report = supervisor.report().await;
    let Remedy::Text(remedy) = report.remedy else { panic!("{report:?}") };
    assert!(remedy.contains("cp --remove-destination"), "{remedy}");
    supervisor.stop().await;
}

fn is_stopping(event: &Event) -> bool {
    matches!(event, Event::Phase { phase: Phase::Stopping, generation: GenerationId::FIRST })
}

#[tokio::test]
async fn generations_overlap_on_their_own_ports() {
    let mut supervisor = TestSupervisor::start("log {}/log up serve 100", |options| options.port = Port::Own);
    supervisor.ready(1).await;
    supervisor.change();
    supervisor.ready(2).await;
    let both = supervisor.pids();
    assert_eq!(both.len(), 2);
    assert!(both.iter().all(|pid| lives(*pid)) || !supervisor.seen.iter().any(is_stopping));
    let gone = |number, phase: &Phase| (number == 1 && *phase == Phase::Stopped).then_some(());
    supervisor.phase("the old one to stop", gone).await;
    supervisor.stop().await;
    assert!(both.into_iter().all(|pid| !lives(pid)));
}

#[tokio::test]
async fn standard_input_stays_open_and_empty() {
    let mut supervisor = TestSupervisor::start("fork read {}/log end log {}/log up sleep", |_| {});
    supervisor.logged("up", 1).await;
    assert!(!supervisor.log().iter().any(|line| line.starts_with("eof")));
    supervisor.stop().await;
}

/// No older generation can serve during a first start that compiles for long. devrun reports the start and
/// waits.
#[tokio::test]
async fn devrun_waits_for_a_slow_first_generation() {
    let mut supervisor = TestSupervisor::start("await {}/go serve", |options| {
        options.port = Port::Own;
        options.ready.timeout = Duration::from_millis(50);
    });
    let warned = |event: &Event| match event {
        Event::Warning { message, remedy: Remedy::AllowMoreTime } => Some(message.clone()),
        _ => None,
    };
    let message = supervisor.wait("a warning", warned).await;
    assert_eq!(message, "generation 1 is not ready after 0.05 s; devrun goes on waiting for it");
    supervisor.sandbox.write("go", "");
    supervisor.ready(1).await;
    supervisor.stop().await;
}
