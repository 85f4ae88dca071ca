//! How devrun finds a server's address from the sockets of its processes.

use std::path::PathBuf;
use std::time::Duration;

use devrun::supervise::{Endpoint, Event, Options, Phase, Port};
use devrun::{GenerationId, Remedy};

use crate::supervise::sockets::{tcp, web};
use crate::support::http::free_address;
use crate::support::supervisor::{TestSupervisor, address_of, ask};

#[tokio::test]
async fn a_server_that_listens_elsewhere_is_found_and_generations_take_turns() {
    let port = unused_port();
    let steps = format!("log {{}}/log up serve-at {port}");
    let mut supervisor = TestSupervisor::start(&steps, |options| options.port = Port::Own);
    let address = supervisor.phase("an address", |_, phase| address_of(phase)).await;
    assert_eq!(address.port(), port);
    assert!(supervisor.seen.iter().any(|event| matches!(event, Event::ListensElsewhere { .. })));
    supervisor.change();
    supervisor.phase("an address", |_, phase| address_of(phase)).await;
    assert_eq!(ask(address), "2");
    let stopped = supervisor.seen.iter().position(|event| {
        matches!(event, Event::Phase { generation: GenerationId::FIRST, phase: Phase::Stopped })
    });
    let started = supervisor
        .seen
        .iter()
        .position(|event| matches!(event, Event::Phase { generation, phase: Phase::Starting { .. } } if generation.number() == 2));
    assert!(stopped.unwrap() < started.unwrap(), "the old generation stops before the next one starts");
    supervisor.stop().await;
}

/// A generation that loads longer than its readiness timeout is reported and then fails. The old generation
/// continues.
#[tokio::test]
async fn a_generation_that_fails_late_replaces_no_other() {
    let mut supervisor = TestSupervisor::editable("serve", |options| options.listen.push(web()));
    let address = tcp(&supervisor);
    supervisor.ready(1).await;
    supervisor.sandbox.write("steps", "wait 5500 exit 3");
    supervisor.change();
    let failed = |number, phase: &Phase| matches!(phase, Phase::Failed(_)).then_some(number);
    assert_eq!(supervisor.phase("a failure", failed).await, 2);
    assert!(!supervisor.seen.iter().any(|event| matches!(
        event,
        Event::Phase { generation: GenerationId::FIRST, phase: Phase::Draining | Phase::Stopping }
    )));
    assert_eq!(ask(address), "1");
    supervisor.stop().await;
}

/// A port that no program uses now, and that the kernel does not choose.
pub(crate) fn unused_port() -> u16 {
    free_address().port()
}

fn found_elsewhere(events: &[Event]) -> bool {
    events.iter().any(|event| matches!(event, Event::ListensElsewhere { .. }))
}

/// A second listener that answers first, such as the one of metrics, is left for the port that was given.
#[tokio::test]
async fn a_server_that_opens_its_own_port_later_is_reached_there() {
    let metrics = unused_port();
    let steps = format!("fork serve-at {metrics} end await {{}}/go serve");
    let mut supervisor = TestSupervisor::start(&steps, |options| options.port = Port::Own);
    let first = supervisor.phase("an address", |_, phase| address_of(phase)).await;
    assert_eq!(first.port(), metrics);
    supervisor.sandbox.write("go", "");
    let own = supervisor.phase("the own port", |_, phase| address_of(phase)).await;
    assert_ne!(own.port(), metrics);
    assert_eq!(ask(own), "1");
    supervisor.stop().await;
}

/// Runs steps that never serve on the given port, and returns the warning about that.
/// The server may be on a fixed port that it opens after the one of metrics.
#[tokio::test]
async fn a_port_that_opens_beside_a_found_one_is_named() {
    let (metrics, other) = (unused_port(), unused_port());
    let steps = format!("fork serve-at {metrics} end await {{}}/go serve-at {other}");
    let mut supervisor = TestSupervisor::start(&steps, |options| options.port = Port::Own);
    let first = supervisor.phase("an address", |_, phase| address_of(phase)).await;
    assert_eq!(first.port(), metrics);
    supervisor.sandbox.write("go", "");
    let warned = |event: &Event| match event {
        Event::Warning { message, remedy: Remedy::ListenOnPort } => Some(message.clone()),
        _ => None,
    };
    let message = supervisor.wait("a warning", warned).await;
    assert!(message.contains(&format!(":{other}, too")), "{message}");
    supervisor.stop().await;
}

async fn warned(steps: &str, adjust: impl FnOnce(&mut Options)) -> (TestSupervisor, String) {
    warned_of(TestSupervisor::start(steps, |options| {
        warns_early(options);
        adjust(options);
    }))
    .await
}

fn warns_early(options: &mut Options) {
    options.port = Port::Own;
    options.ready.timeout = Duration::from_secs(3);
}

async fn warned_of(mut supervisor: TestSupervisor) -> (TestSupervisor, String) {
    let warned = |event: &Event| match event {
        Event::Warning { message, remedy: Remedy::ListenOnPort } => Some(message.clone()),
        _ => None,
    };
    let message = supervisor.wait("a warning", warned).await;
    assert!(!found_elsewhere(&supervisor.seen), "{:#?}", supervisor.seen);
    (supervisor, message)
}

#[tokio::test]
async fn a_command_that_names_its_port_is_reached_only_there() {
    let metrics = unused_port();
    let steps = format!("fork serve-at {metrics} end await {{}}/go log {{}}/log on:{{port}} serve");
    let (mut supervisor, message) = warned(&steps, |_| {}).await;
    assert!(message.contains(&format!("it listens on 127.0.0.1:{metrics}, not on port ")), "{message}");
    supervisor.sandbox.write("go", "");
    let own = supervisor.phase("the own port", |_, phase| address_of(phase)).await;
    assert_eq!(supervisor.log()[0].split(' ').next().unwrap(), format!("on:{}", own.port()));
    assert_eq!(ask(own), "1");
    supervisor.stop().await;
}

#[tokio::test]
async fn a_listener_that_speaks_no_http_is_no_server() {
    let debugger = unused_port();
    let (mut supervisor, message) = warned(&format!("hold-at {debugger} await {{}}/go serve"), |_| {}).await;
    assert!(message.contains(&format!("it listens on 127.0.0.1:{debugger}, not on port ")), "{message}");
    supervisor.sandbox.write("go", "");
    supervisor.ready(1).await;
    supervisor.stop().await;
}

/// Programs such as debugpy open a port that the kernel chooses, and the first client there must be a process
/// that they start. Such a port stands in no command.
#[tokio::test]
async fn a_port_that_the_kernel_chose_is_not_asked_early() {
    let chosen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let steps = format!("fork serve-at {} end await {{}}/go serve", chosen.port());
    let (mut supervisor, message) = warned_of(TestSupervisor::editable(&steps, warns_early)).await;
    assert!(message.contains(&format!("it listens on {chosen}, not on port ")), "{message}");
    supervisor.sandbox.write("go", "");
    supervisor.ready(1).await;
    supervisor.stop().await;
}

#[tokio::test]
async fn a_listener_of_a_daemon_is_no_server() {
    let cache = unused_port();
    let (mut supervisor, _) =
        warned(&format!("daemon setsid serve-at {cache} end await {{}}/go serve"), |_| {}).await;
    supervisor.sandbox.write("go", "");
    supervisor.ready(1).await;
    supervisor.stop().await;
}

#[tokio::test]
async fn the_ready_path_is_asked_on_a_found_address() {
    let port = unused_port();
    let unready = |options: &mut Options| options.ready.path = Some("/status/503".to_owned());
    let (mut supervisor, _) = warned(&format!("serve-at {port}"), unready).await;
    supervisor.stop().await;
    let mut supervisor = TestSupervisor::start(&format!("serve-at {port}"), |options| {
        options.port = Port::Own;
        options.ready.path = Some("/status/404".to_owned());
    });
    assert_eq!(supervisor.phase("an address", |_, phase| address_of(phase)).await.port(), port);
    supervisor.stop().await;
}

#[tokio::test]
async fn a_server_on_a_unix_socket_is_named() {
    let (mut supervisor, message) = warned("hold-unix {}/app.sock sleep", |_| {}).await;
    let path = supervisor.sandbox.path("app.sock");
    assert!(
        message.contains(&format!("it listens on the Unix socket {}, not on", path.display())),
        "{message}"
    );
    supervisor.stop().await;
}

/// The address leads to the socket. Each generation opens the same one, so they take turns.
#[tokio::test]
async fn a_server_on_a_unix_socket_is_reached_there() {
    let abstract_name = format!("@devrun-test-{}", std::process::id());
    // The last word, which no step reads, is the working directory.
    for (steps, path) in [
        ("serve-unix {}/my.sock {}".to_owned(), "my.sock"),
        ("serve-unix relative.sock {}".to_owned(), "relative.sock"),
        (format!("serve-unix {abstract_name} {{}}"), abstract_name.as_str()),
    ] {
        let mut supervisor = TestSupervisor::start(&steps, |options| {
            options.port = Port::Own;
            options.ready.path = (path == "my.sock").then(|| "/status/404".to_owned());
            options.command.current_dir = options.command.args.last().map(PathBuf::from);
        });
        let endpoint = |event: &Event| match event {
            Event::ListensElsewhere { endpoint: Endpoint::Unix(path), .. } => Some(path.clone()),
            _ => None,
        };
        let found = supervisor.wait("where the server listens", endpoint).await;
        assert!(
            found == supervisor.sandbox.path(path) || found.to_str() == Some(path),
            "{}",
            found.display()
        );
        for generation in ["1", "2"] {
            let address = supervisor.phase("an address", |_, phase| address_of(phase)).await;
            // The way to the socket needs this thread.
            let answer = tokio::task::spawn_blocking(move || ask(address)).await.unwrap();
            assert_eq!(answer, generation);
            supervisor.change();
        }
        supervisor.stop().await;
    }
}

/// A request cannot tell whether such a server is ready. The user learns why at once, not after the timeout.
#[tokio::test]
async fn a_server_that_expects_tls_is_named() {
    let mut supervisor = TestSupervisor::start("serve-tls", |options| {
        options.port = Port::Own;
        options.ready.path = Some("/".to_owned());
        options.ready.timeout = Duration::from_secs(3600);
    });
    let warned = |event: &Event| match event {
        Event::Warning { message, remedy: Remedy::KeepTls } => Some(message.clone()),
        _ => None,
    };
    let message = supervisor.wait("a warning", warned).await;
    assert!(message.contains(" answers in TLS only"), "{message}");
    supervisor.stop().await;
}

#[tokio::test]
async fn a_server_on_another_address_of_its_port_is_reached_there() {
    let mut supervisor = TestSupervisor::start("serve-on 127.0.0.2", |options| options.port = Port::Own);
    let address = supervisor.phase("an address", |_, phase| address_of(phase)).await;
    assert_eq!(address.ip(), std::net::IpAddr::from([127, 0, 0, 2]));
    assert_eq!(ask(address), "1");
    supervisor.stop().await;
}

/// Servers such as gunicorn listen first and load the program afterwards.
#[tokio::test]
async fn a_server_that_listens_but_does_not_accept_replaces_no_other() {
    let mut supervisor = TestSupervisor::editable("serve", |options| options.port = Port::Own);
    let first = supervisor.phase("an address", |_, phase| address_of(phase)).await;
    supervisor.sandbox.write("steps", "hold-briefly 700 wait 700 exit 3");
    supervisor.change();
    let ended = |number, phase: &Phase| match phase {
        Phase::Failed(_) => Some((number, true)),
        Phase::Exited(_) | Phase::Draining | Phase::Stopping => Some((number, false)),
        _ => None,
    };
    assert_eq!(supervisor.phase("a failure", ended).await, (2, true));
    assert_eq!(ask(first), "1");
    supervisor.sandbox.write("steps", "serve-after {}/go");
    supervisor.change();
    let starting =
        |number, phase: &Phase| (number == 3 && matches!(phase, Phase::Starting { .. })).then_some(());
    supervisor.phase("a start", starting).await;
    assert_eq!(ask(first), "1");
    supervisor.sandbox.write("go", "");
    supervisor.ready(3).await;
    supervisor.stop().await;
}

/// A fixed port that another program has is refused, because that program's pages would be served.
#[tokio::test]
async fn a_fixed_port_that_a_stranger_has_is_refused() {
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = stranger.local_addr().unwrap();
    let mut supervisor = TestSupervisor::start("sleep", |options| options.port = Port::Fixed(address));
    let message = supervisor.report().await.message.unwrap();
    assert!(
        message.starts_with(&format!("{address} is in use by process {} (", std::process::id())),
        "{message}"
    );
    assert_eq!(supervisor.ended().await, devrun::supervise::SupervisorExit::NotStarted(2));
}
