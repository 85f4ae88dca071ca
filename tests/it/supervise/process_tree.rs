//! The process tree of a child, with processes that leave their group and session. The initial state of a
//! child.

use std::time::{Duration, Instant};

use devrun::supervise::{Event, OnBusy, Request, StopScope, SupervisorExit};

use crate::support::sandbox::{PATIENCE, lives};
use crate::support::supervisor::TestSupervisor;

#[tokio::test]
async fn no_start_while_a_process_of_the_old_tree_lives() {
    // The grandchild leaves its group, session and parent, and ends late.
    let steps = "log {}/log up daemon setsid on 15 {}/log late log {}/log stray sleep end sleep";
    let mut supervisor =
        TestSupervisor::start(steps, |options| options.stop_timeout = Duration::from_millis(300));
    supervisor.logged("stray", 1).await;
    supervisor.change();
    supervisor.ready(2).await;
    supervisor.logged("up", 2).await;
    let first: Vec<i32> = supervisor
        .log()
        .iter()
        .filter(|line| line.ends_with(" 1"))
        .filter_map(|line| line.split(' ').nth(1)?.parse().ok())
        .collect();
    assert!(first.len() >= 2 && first.into_iter().all(|pid| !lives(pid)), "{:#?}", supervisor.log());
    let blocked = supervisor.seen.iter().any(|event| matches!(event, Event::Blocked { .. }));
    assert!(blocked, "the process that outlived the stop signal is named: {:#?}", supervisor.seen);
    supervisor.stop().await;
    assert!(supervisor.pids().into_iter().all(|pid| !lives(pid)));
}

#[tokio::test]
async fn a_tree_that_ignores_everything_is_killed_and_named() {
    let steps = "ignore 15 ignore 2 ignore 1 log {}/log up \
                 fork setpgid log {}/log group fork setsid log {}/log session sleep end sleep end \
                 daemon clearenv log {}/log bare sleep end sleep";
    let mut supervisor =
        TestSupervisor::start(steps, |options| options.stop_timeout = Duration::from_millis(200));
    for text in ["up", "group", "session", "bare"] {
        supervisor.logged(text, 1).await;
    }
    assert_eq!(supervisor.stop().await, SupervisorExit::Asked);
    assert!(supervisor.pids().into_iter().all(|pid| !lives(pid)), "{:?}", supervisor.log());
    let named = supervisor.seen.iter().any(
        |event| matches!(event, Event::Blocked { pid, command, .. } if *pid > 1 && command.contains("ignore")),
    );
    assert!(named, "{:#?}", supervisor.seen);
}

/// A leader and a worker that both record the stop signal. The leader ends when there is a file `go`.
const LEADER_AND_WORKER: &str = "fork on 15 {}/log worker log {}/log up sleep end \
                                 on 15 {}/log leader log {}/log up await {}/go exit 0";

fn count(supervisor: &TestSupervisor, text: &str) -> usize {
    supervisor.log().iter().filter(|line| line.starts_with(text)).count()
}

#[tokio::test]
async fn the_rest_of_the_tree_gets_the_stop_signal_when_the_leader_has_ended() {
    let mut supervisor = TestSupervisor::start(LEADER_AND_WORKER, |options| {
        options.stop_timeout = Duration::from_secs(600);
    });
    supervisor.logged("up", 2).await;
    supervisor.send(Request::Stop);
    supervisor.logged("leader", 1).await;
    assert_eq!(count(&supervisor, "worker"), 0, "{:?}", supervisor.log());
    supervisor.sandbox.write("go", "");
    supervisor.logged("worker", 1).await;
    assert_eq!(count(&supervisor, "leader"), 1, "{:?}", supervisor.log());
    supervisor.send(Request::Kill);
    assert_eq!(supervisor.ended().await, SupervisorExit::Asked);
}

#[tokio::test]
async fn the_rest_of_the_tree_gets_the_stop_signal_at_half_of_the_timeout() {
    let mut supervisor = TestSupervisor::start(LEADER_AND_WORKER, |options| {
        options.stop_timeout = Duration::from_secs(2);
    });
    supervisor.logged("up", 2).await;
    supervisor.stop().await;
    let order: Vec<_> =
        supervisor.log().iter().filter_map(|line| line.split(' ').next().map(str::to_owned)).collect();
    assert_eq!(order, ["up", "up", "leader", "worker"]);
    assert!(supervisor.pids().into_iter().all(|pid| !lives(pid)));
}

#[tokio::test]
async fn with_the_scope_group_all_processes_get_the_stop_signal_at_once() {
    let mut supervisor = TestSupervisor::start(LEADER_AND_WORKER, |options| {
        options.stop_scope = StopScope::Group;
        options.stop_timeout = Duration::from_secs(600);
    });
    supervisor.logged("up", 2).await;
    supervisor.send(Request::Stop);
    supervisor.logged("leader", 1).await;
    supervisor.logged("worker", 1).await;
    supervisor.send(Request::Kill);
    supervisor.ended().await;
}

/// `gunicorn` as an example: SIGHUP reloads in the leader, and ends a worker.
#[tokio::test]
async fn a_signal_for_a_busy_child_goes_to_the_leader() {
    let mut supervisor = TestSupervisor::start(LEADER_AND_WORKER, |options| {
        options.on_busy = OnBusy::Signal;
        options.stop_timeout = Duration::from_secs(600);
    });
    supervisor.logged("up", 2).await;
    supervisor.change();
    supervisor.logged("leader", 1).await;
    // The worker would have been signalled by the same call, before this second signal.
    supervisor.change();
    supervisor.logged("leader", 2).await;
    assert_eq!(count(&supervisor, "worker"), 0, "{:?}", supervisor.log());
    supervisor.send(Request::Kill);
    supervisor.ended().await;
}

#[tokio::test]
async fn a_process_that_forks_again_and_again_is_killed() {
    let mut supervisor = TestSupervisor::start("log {}/log up fork setsid hop {}/hops end sleep", |_| {});
    supervisor.logged("up", 1).await;
    supervisor.change();
    supervisor.ready(2).await;
    supervisor.stop().await;
    // The command line identifies each hopping process.
    let root = supervisor.sandbox.root().to_str().unwrap().to_owned();
    let nobody_hops = || {
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        !entries
            .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
            .any(|line| String::from_utf8_lossy(&line).contains(&root))
    };
    supervisor.until("no hopping process is left", nobody_hops).await;
}

#[tokio::test]
async fn the_child_gets_its_environment_signals_and_descriptors_only() {
    let mut supervisor = TestSupervisor::start("report {}/report sleep", |options| {
        options.command = options.command.clone().env("GREETING", "hello");
    });
    let report = supervisor.sandbox.path("report");
    supervisor.until("the child has reported", || report.exists()).await;
    let text = std::fs::read_to_string(&report).unwrap();
    let has = |line: &str| text.lines().any(|one| one == line);
    assert!(has("env DEVRUN=1") && has("env DEVRUN_GENERATION=1") && has("env GREETING=hello"), "{text}");
    assert!(has("env FLASK_RUN_RELOAD=0"), "{text}");
    let writes_bytecode = !text.contains("\nenv PYTHONDONTWRITEBYTECODE=");
    assert_eq!(writes_bytecode, std::env::var_os("PYTHONDONTWRITEBYTECODE").is_none(), "{text}");
    // The helper program's runtime ignores SIGPIPE, and nohup ignores SIGHUP. The C library allows no change
    // of signals 32 and 33, so they stay ignored.
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    let own = own.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).unwrap();
    let ignored = u64::from_str_radix(own, 16).unwrap() & 0x1_8000_0001 | 0x1000;
    assert!(has("SigBlk:\t0000000000000000") && has(&format!("SigIgn:\t{ignored:016x}")), "{text}");
    let number = |line: &str| line.strip_prefix("fd ")?.split(' ').next()?.parse::<i32>().ok();
    for fd in text.lines().filter_map(number).filter(|fd| *fd > 3) {
        // The test's caller may have opened this descriptor and left it inheritable.
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap_or_default();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).map(str::trim);
        let flags = flags.and_then(|flags| i32::from_str_radix(flags, 8).ok());
        assert!(flags.is_some_and(|flags| flags & libc::O_CLOEXEC == 0), "descriptor {fd} leaked: {text}");
    }
    supervisor.stop().await;
}

#[tokio::test]
async fn a_dropped_supervisor_leaves_no_process() {
    let mut supervisor = TestSupervisor::start(
        "ignore 15 log {}/log up daemon setsid log {}/log stray sleep end sleep",
        |_| {},
    );
    supervisor.ready(1).await;
    supervisor.logged("stray", 1).await;
    let pids = supervisor.pids();
    drop(supervisor);
    let deadline = Instant::now() + PATIENCE;
    while pids.iter().any(|pid| lives(*pid)) {
        assert!(Instant::now() < deadline, "a process was left");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
