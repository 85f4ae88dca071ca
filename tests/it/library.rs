//! The library for embedders: it prints nothing, runs several sessions in one process, and leaves nothing
//! behind when it is dropped.

use std::net::{SocketAddr, TcpListener};
use std::task::Poll;
use std::time::Duration;

use devrun::supervise::{self, Outcome, Phase, Request};
use devrun::watch::Watch;
use devrun::{Command, Event, GenerationId, Options, Session, SyncId, rules, watch};

use crate::support::http::free_address;
use crate::support::sandbox::{PATIENCE, Sandbox, lives, wait_until};

/// A session over a sandbox whose child writes its process id into the file `pid`.
fn options(sandbox: &Sandbox) -> Options {
    sandbox.write("src/app.py", "one");
    let command = Command::new("sh").args(["-c", "echo $$ > pid; exec sleep 1000"]);
    let mut options = Options::in_directory(sandbox.root(), command);
    options.watch.roots = vec!["src".into()];
    options
}

async fn ready(session: &mut Session, wanted: u64) {
    let until = async {
        while let Some(event) = session.next_event().await {
            if let Event::Child(supervise::Event::Phase { generation, phase: Phase::Ready { .. } }) = event
                && generation.number() == wanted
            {
                return;
            }
        }
        panic!("the session has ended");
    };
    tokio::time::timeout(PATIENCE, until).await.expect("the generation becomes ready");
}

/// The process number of a sandbox's child, once the child has written it.
fn child(sandbox: &Sandbox) -> i32 {
    crate::support::sandbox::wait_for("the child has said who it is", || said(sandbox))
}

fn said(sandbox: &Sandbox) -> Option<i32> {
    std::fs::read_to_string(sandbox.path("pid")).ok()?.trim().parse().ok()
}

fn is_gone(pid: i32) -> bool {
    !lives(pid)
}

#[tokio::test]
async fn several_sessions_live_in_one_process() {
    let (one, other) = (Sandbox::new(), Sandbox::new());
    let mut first = Session::start(options(&one)).await.unwrap();
    let mut second = Session::start(options(&other)).await.unwrap();
    ready(&mut first, 1).await;
    ready(&mut second, 1).await;
    let (kept, restarted) = (child(&one), child(&other));
    other.write("src/app.py", "two");
    ready(&mut second, 2).await;
    wait_until("the first child of the second session is gone", || is_gone(restarted));
    second.stop().await;
    assert!(!is_gone(kept));
    // The first session continues and sees the changes in its own sandbox.
    one.write("src/app.py", "two");
    ready(&mut first, 2).await;
    first.stop().await;
    // The last children may have ended before they wrote their process number.
    let is_over = |sandbox: &Sandbox| said(sandbox).is_none_or(is_gone);
    wait_until("no process is left", || is_gone(kept) && is_over(&one) && is_over(&other));
}

#[tokio::test]
async fn a_session_that_is_dropped_ends_its_child_and_closes_its_port() {
    let sandbox = Sandbox::new();
    let (options, address) = with_proxy(&sandbox, free_address());
    let session = Session::start(options).await.unwrap();
    let written = async {
        while said(&sandbox).is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, written).await.expect("the child starts");
    let pid = child(&sandbox);
    drop(session);
    let ended = async {
        while !is_gone(pid) || TcpListener::bind(address).is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("the child ends and the port is free");
}

/// A session with a port, if this build has the proxy.
fn with_proxy(sandbox: &Sandbox, address: SocketAddr) -> (Options, SocketAddr) {
    let options = options(sandbox);
    #[cfg(feature = "proxy")]
    let options = options.with_proxy(devrun::proxy::Options::new(vec![address]));
    (options, address)
}

/// Polls a future at most this number of times, then drops it.
async fn polled<F: Future>(future: F, times: usize) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let mut left = times;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => {
                // The future is polled again, even without an event.
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_start_that_is_dropped_at_any_point_leaves_nothing() {
    for times in [0, 1, 2, 3, 5, 10, 100, 1000, usize::MAX] {
        let sandbox = Sandbox::new();
        let (options, address) = with_proxy(&sandbox, free_address());
        let started = polled(Session::start(options), times).await;
        let was_started = started.is_some();
        drop(started.map(Result::unwrap));
        let closed = async {
            while TcpListener::bind(address).is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, closed).await.expect("the port is free again");
        assert!(was_started || !sandbox.path("pid").exists(), "a child after {times} polls");
        // The child may have ended before it wrote its process number.
        wait_until("the child is gone", || said(&sandbox).is_none_or(is_gone));
    }
}

#[tokio::test]
async fn a_start_that_fails_leaves_nothing() {
    let sandbox = Sandbox::new();
    let (mut options, first) = with_proxy(&sandbox, free_address());
    options.watch.filters = vec!["[".into()];
    assert!(matches!(Session::start(options).await, Err(devrun::Error::Watch(_))));
    // Another port: a process that another test starts at this moment keeps a copy of the first one for a while.
    let (mut options, second) = with_proxy(&sandbox, free_address());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = supervise::Endpoint::Tcp(taken.local_addr().unwrap());
    options.supervise.listen = vec![supervise::Listen { name: None, endpoint, answer: false }];
    let error = Session::start(options).await.err();
    assert!(matches!(error, Some(devrun::Error::Supervise(_))), "{error:?}");
    for address in [first, second] {
        wait_until("the port is free again", || TcpListener::bind(address).is_ok());
    }
    assert!(!sandbox.path("pid").exists());
}

#[tokio::test]
async fn a_dropped_wait_loses_no_event() {
    let sandbox = Sandbox::new();
    sandbox.write("src/app.py", "0");
    let rules = rules::Options::new(sandbox.root());
    let mut watch = Watch::start(watch::Options::new(rules)).await.unwrap();
    let mut seen = 0;
    for round in 1..=20 {
        sandbox.write("src/app.py", format!("{round}"));
        let mut changed = false;
        while !changed {
            // The future is dropped again and again, before an event or just after it.
            if let Some(event) = polled(watch.next_event(), 1).await {
                changed = matches!(event, Some(watch::Event::Changed(_)));
            }
            tokio::task::yield_now().await;
        }
        seen += 1;
    }
    assert_eq!(seen, 20);
    watch.stop().await;
}

#[tokio::test]
async fn a_dropped_stop_continues() {
    let sandbox = Sandbox::new();
    let mut session = Session::start(options(&sandbox)).await.unwrap();
    ready(&mut session, 1).await;
    let pid = child(&sandbox);
    assert!(polled(session.stop(), 1).await.is_none());
    let ended = async {
        while !is_gone(pid) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("the child ends");
}

#[test]
fn a_runtime_that_ends_first_leaves_no_process() {
    let sandbox = Sandbox::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let session = runtime.block_on(async {
        let mut session = Session::start(options(&sandbox)).await.unwrap();
        ready(&mut session, 1).await;
        child(&sandbox);
        session
    });
    drop(runtime);
    wait_until("the child is gone", || is_gone(child(&sandbox)));
    drop(session);
}

#[cfg(feature = "proxy")]
#[tokio::test]
async fn a_dropped_proxy_closes_its_port_and_its_connections() {
    use tokio::io::AsyncReadExt as _;
    use tokio::io::AsyncWriteExt as _;

    let address = free_address();
    let proxy = devrun::proxy::Proxy::start(devrun::proxy::Options::new(vec![address])).await.unwrap();
    let handle = proxy.handle();
    let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    drop(proxy);
    let mut answer = Vec::new();
    let end = tokio::time::timeout(PATIENCE, client.read_to_end(&mut answer)).await;
    assert!(end.is_ok(), "the proxy closes the client's connection");
    let closed = async {
        while TcpListener::bind(address).is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, closed).await.expect("the port is free again");
    // The handle outlives the proxy and does nothing.
    handle.publish(devrun::proxy::Upstream::Starting);
}

/// An embedding process catches only its own signals and prints only its own lines.
#[cfg(target_os = "linux")]
#[test]
fn the_library_catches_no_signal_and_prints_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("src/app.py", "one");
    let program = crate::support::sandbox::example("embed");
    let mut running =
        crate::support::process::TestProcess::start(sandbox.command(program).args(["sleep", "1000"]));
    running.wait_for_line("1: Ready");
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t")).unwrap();
    let caught = u64::from_str_radix(caught, 16).unwrap();
    let caught: Vec<u32> = (1..32).filter(|signal| caught >> (signal - 1) & 1 == 1).collect();
    // SIGINT belongs to the example, SIGBUS and SIGSEGV to Rust's runtime.
    assert!(caught.iter().all(|signal| [2, 7, 11].contains(signal)), "{caught:?}");
    sandbox.write("src/app.py", "two");
    running.wait_for_line("2: Ready");
    running.signal(2);
    assert_eq!(running.wait().code(), Some(0));
    let own = ["watching ", "ended: ", "1: ", "2: "];
    for line in running.lines() {
        assert!(own.iter().any(|start| line.starts_with(start)) || line.ends_with(" changed"), "{line}");
    }
}

#[tokio::test]
async fn a_handle_tells_whether_its_session_runs() {
    let sandbox = Sandbox::new();
    let mut session = Session::start(options(&sandbox)).await.unwrap();
    ready(&mut session, 1).await;
    assert!(session.restart());
    ready(&mut session, 2).await;
    let handle = session.handle();
    assert!(handle.rescan());
    session.stop().await;
    for request in [Request::Restart, Request::Stop, Request::Kill] {
        assert!(!handle.send(request));
    }
    assert!(!handle.rescan());
}

#[tokio::test]
async fn a_root_that_does_not_exist_is_an_error_unless_it_may_come() {
    let sandbox = Sandbox::new();
    let mut options = options(&sandbox);
    options.watch.roots = vec!["src".into(), "later".into()];
    let error = Session::start(options.clone()).await.err();
    let Some(devrun::Error::Watch(watch::Error::Root { path, .. })) = &error else { panic!("{error:?}") };
    assert_eq!(path, &sandbox.path("later"));
    assert!(!sandbox.path("pid").exists(), "no command starts");
    options.watch.missing_roots = watch::MissingRoots::Await;
    let mut session = Session::start(options).await.unwrap();
    ready(&mut session, 1).await;
    sandbox.write("later/new.py", "one");
    ready(&mut session, 2).await;
    session.stop().await;
}

#[tokio::test]
async fn a_relative_directory_serves_rules_watch_and_command() {
    let sandbox = Sandbox::new();
    sandbox.write("src/app.py", "one");
    sandbox.write("src/sub/there", "");
    // Tests share the working directory of their process, so the path leads from there to the sandbox.
    let here = std::env::current_dir().unwrap();
    let up: std::path::PathBuf = here.components().skip(1).map(|_| "..").collect();
    let relative = up.join(sandbox.root().strip_prefix("/").unwrap());
    let command = Command::new("sh").args(["-c", "test -e there && echo $$ > ../../pid; exec sleep 1000"]);
    let mut options = Options::in_directory(&relative, command.current_dir("src/sub"));
    options.watch.rules = options.watch.rules.pattern("*.log").pattern("pid");
    let mut session = Session::start(options).await.unwrap();
    ready(&mut session, 1).await;
    wait_until("the command runs in its directory", || said(&sandbox).is_some());
    sandbox.write("src/app.log", "one");
    sandbox.write("src/app.py", "two");
    let because = async {
        loop {
            let event = session.next_event().await.expect("the session runs");
            if let Event::Child(supervise::Event::Restarting { because: Some(batch), .. }) = event {
                return batch;
            }
        }
    };
    let batch = tokio::time::timeout(PATIENCE, because).await.expect("the edit restarts the command");
    let paths: Vec<_> = batch.changes.iter().map(|change| change.path.as_path()).collect();
    assert_eq!(paths, [sandbox.path("src/app.py")]);
    session.stop().await;
}

#[cfg(feature = "proxy")]
#[tokio::test]
async fn a_proxy_needs_a_port_for_the_command_and_captures_its_output() {
    let sandbox = Sandbox::new();
    let mut impossible = options(&sandbox);
    impossible.proxy = Some(devrun::proxy::Options::new(vec![free_address()]));
    let error = Session::start(impossible).await.err();
    assert!(matches!(error, Some(devrun::Error::NoPort)), "{error:?}");

    let (mut options, _) = with_proxy(&sandbox, free_address());
    options.supervise.command = Command::new("sh").args(["-c", "echo out of luck; exit 3"]);
    let mut session = Session::start(options).await.unwrap();
    let report = async {
        loop {
            let event = session.next_event().await.expect("the session runs");
            if let Event::Child(supervise::Event::Phase {
                phase: Phase::Exited(report) | Phase::Failed(report),
                ..
            }) = event
            {
                return report;
            }
        }
    };
    let report = tokio::time::timeout(PATIENCE, report).await.expect("the command exits");
    assert_eq!((report.ended, &*report.output), (supervise::ProcessExit::Status(3), &b"out of luck\n"[..]));
    session.stop().await;
}

/// A client of a halted command gets a page at once, and the response in flight ends whole.
#[cfg(feature = "proxy")]
#[tokio::test(flavor = "multi_thread")]
async fn a_halt_finishes_the_response_in_flight_and_answers_new_requests_until_the_start() {
    use crate::support::http::{Opened, get};

    let sandbox = Sandbox::new();
    let (mut options, address) = with_proxy(&sandbox, free_address());
    options.supervise.command = crate::support::supervisor::child(&sandbox, "serve");
    options.supervise.command.current_dir = Some(sandbox.root().to_owned());
    options.start_hint = Some("`work start` starts it".to_owned());
    let mut session = Session::start(options).await.unwrap();
    ready(&mut session, 1).await;
    let request = |path: &'static str| tokio::task::spawn_blocking(move || get(address, path).unwrap());
    let open = move || Opened::get(address, "/after/go", &[]).unwrap();
    let slow = tokio::task::spawn_blocking(open).await.unwrap();
    assert_eq!(slow.status, 200);

    assert!(session.handle().send(Request::Halt));
    child_event(&mut session, |event| matches!(event, supervise::Event::Halting)).await;
    let refused = request("/").await.unwrap();
    assert_eq!(refused.status, 503);
    assert!(refused.text().contains("stopped on request; `work start` starts it"), "{}", refused.text());
    sandbox.write("go", "");
    let slow = tokio::task::spawn_blocking(|| slow.finish().unwrap()).await.unwrap();
    assert_eq!(slow.text(), "1");
    child_event(&mut session, |event| matches!(event, supervise::Event::Halted)).await;
    assert_eq!(request("/").await.unwrap().status, 503);

    assert!(session.handle().send(Request::Start));
    child_event(&mut session, |event| matches!(event, supervise::Event::Restarting { .. })).await;
    assert_eq!(request("/").await.unwrap().text(), "2");
    session.stop().await;
}

/// The same for the clients of a socket that the command inherits.
#[cfg(feature = "proxy")]
#[tokio::test(flavor = "multi_thread")]
async fn a_halted_command_leaves_its_sockets_to_devrun_until_it_starts() {
    use crate::support::http::get;

    let (sandbox, address) = (Sandbox::new(), free_address());
    let mut options = options(&sandbox);
    options.supervise.command = crate::support::supervisor::child(&sandbox, "serve");
    let endpoint = supervise::Endpoint::Tcp(address);
    options.supervise.listen = vec![supervise::Listen { name: None, endpoint, answer: true }];
    let mut session = Session::start(options).await.unwrap();
    let request = || tokio::task::spawn_blocking(move || get(address, "/").unwrap());
    ready(&mut session, 1).await;
    assert_eq!(request().await.unwrap().text(), "1");
    assert!(session.handle().send(Request::Halt));
    child_event(&mut session, |event| matches!(event, supervise::Event::Halted)).await;
    let refused = request().await.unwrap();
    assert!(refused.status == 503 && refused.text().contains("stopped on request"), "{}", refused.text());
    assert!(session.handle().send(Request::Start));
    ready(&mut session, 2).await;
    assert_eq!(request().await.unwrap().text(), "2");
    session.stop().await;
}

/// Waits for an event of the supervisor. The session has passed it on to the proxy then.
async fn child_event(
    session: &mut Session,
    is_wanted: impl Fn(&supervise::Event) -> bool,
) -> supervise::Event {
    let until = async {
        loop {
            match session.next_event().await.expect("the session runs") {
                Event::Child(event) if is_wanted(&event) => return event,
                _ => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, until).await.expect("the event comes")
}

#[tokio::test]
async fn an_edit_is_settled_once_the_generation_with_it_is_ready() {
    let sandbox = Sandbox::new();
    let mut session = Session::start(options(&sandbox)).await.unwrap();
    let handle = session.handle();
    for (question, edit) in [(1, None), (2, Some("two")), (3, Some("three"))] {
        if let Some(text) = edit {
            sandbox.write("src/app.py", text);
        }
        assert!(handle.settle(SyncId::new(question)));
        let settled =
            child_event(&mut session, |event| matches!(event, supervise::Event::Settled { .. })).await;
        let supervise::Event::Settled { id, outcome } = settled else { unreachable!() };
        assert_eq!(
            (id.number(), outcome),
            (question, Outcome::Ready { generation: GenerationId::new(question) })
        );
    }
    session.stop().await;
    assert!(!handle.settle(SyncId::new(4)) && !handle.forget(SyncId::new(4)));
}
