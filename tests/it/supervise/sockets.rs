//! Sockets held and handed over, whatever an earlier generation has made of them; how a server is known to serve.

use std::net::SocketAddr;

use devrun::supervise::{Capture, Endpoint, Listen, Phase, Port};

use crate::support::supervisor::{TestSupervisor, address_of, ask};

/// A socket on a free port, called `web`.
pub(crate) fn web() -> Listen {
    let endpoint = Endpoint::Tcp(([127, 0, 0, 1], 0).into());
    Listen { name: Some("web".to_owned()), endpoint, answer: true }
}

/// Where the first held socket listens.
pub(crate) fn tcp(supervisor: &TestSupervisor) -> SocketAddr {
    let Endpoint::Tcp(address) = supervisor.endpoints()[0] else { panic!("no TCP") };
    address
}

#[tokio::test]
async fn each_generation_inherits_a_socket_of_its_own() {
    let mut supervisor = TestSupervisor::start("serve 150", |options| options.port = Port::Inherited);
    let first = supervisor.phase("an address", |_, phase| address_of(phase)).await;
    // Connecting would have worked from the start: ready means that somebody accepts.
    assert_eq!(ask(first), "1");
    supervisor.change();
    let second = supervisor.phase("another address", |_, phase| address_of(phase)).await;
    assert_ne!(first, second);
    assert_eq!(ask(second), "2");
    supervisor.stop().await;
    assert!(std::net::TcpStream::connect(second).is_err(), "the socket is closed with its generation");
}

#[tokio::test]
async fn a_held_socket_is_handed_from_generation_to_generation() {
    let mut supervisor =
        TestSupervisor::start("report {}/report serve 50", |options| options.listen.push(web()));
    let address = tcp(&supervisor);
    supervisor.ready(1).await;
    assert_eq!(ask(address), "1");
    let report = std::fs::read_to_string(supervisor.sandbox.path("report")).unwrap();
    let value = |key: &str| {
        let line = report.lines().find_map(|line| line.strip_prefix(&format!("env {key}=")));
        line.unwrap_or_default().to_owned()
    };
    let pid = report.lines().find_map(|line| line.strip_prefix("pid ")).unwrap();
    assert_eq!(value("LISTEN_PID"), pid.split(' ').next().unwrap());
    assert_eq!((value("LISTEN_FDS"), value("LISTEN_FDNAMES")), ("1".to_owned(), "web".to_owned()));
    supervisor.change();
    supervisor.ready(2).await;
    let gone = |number, phase: &Phase| (number == 1 && *phase == Phase::Stopped).then_some(());
    supervisor.phase("the old one to stop", gone).await;
    assert_eq!(ask(address), "2");
    supervisor.stop().await;
}

/// Servers built on an event loop make the socket non-blocking, and expect that it stays so while they serve.
#[tokio::test]
async fn a_server_that_serves_on_keeps_its_socket_as_it_wants_it() {
    let mut supervisor = TestSupervisor::editable("serve-polling", |options| options.listen.push(web()));
    let address = tcp(&supervisor);
    supervisor.ready(1).await;
    supervisor.sandbox.write("steps", "log {}/log up wait 30000");
    supervisor.change();
    supervisor.logged("up", 1).await;
    for _ in 0..20 {
        assert_eq!(ask(address), "1");
    }
    supervisor.sandbox.write("steps", "serve-polling");
    supervisor.change();
    supervisor.ready(3).await;
    supervisor.stop().await;
}

/// The socket that nobody else serves on blocks, as `sd_listen_fds(3)` says, whatever the last server made of it.
#[tokio::test]
async fn a_server_that_is_alone_with_its_socket_finds_it_blocking() {
    let mut supervisor = TestSupervisor::editable("serve-polling", |options| {
        options.listen.push(web());
        options.overlap = false;
    });
    let address = tcp(&supervisor);
    supervisor.ready(1).await;
    assert_eq!(ask(address), "1");
    // It gives up when `accept` says that there is nothing.
    supervisor.sandbox.write("steps", "serve-strictly");
    supervisor.change();
    supervisor.ready(2).await;
    assert_eq!(ask(address), "2");
    assert_eq!(ask(address), "2");
    supervisor.stop().await;
}

/// What others answered on in between is given back as it was, even if the generation before has yet to end.
#[tokio::test]
async fn a_socket_that_was_lent_comes_back_as_it_was() {
    let mut supervisor =
        TestSupervisor::editable("fork ignore 15 log {}/log left wait 1500 end wait 200 exit 1", |options| {
            options.listen.push(web());
        });
    let address = tcp(&supervisor);
    supervisor.report().await;
    assert_eq!(supervisor.answering_sockets(1).len(), 1);
    supervisor.sandbox.write("steps", "serve-strictly");
    supervisor.change();
    supervisor.ready(2).await;
    assert!(supervisor.answering_sockets(1).is_empty(), "it is the new one's by now");
    assert_eq!(ask(address), "2");
    supervisor.stop().await;
}

/// Having the socket open and waiting in `poll` or `select` for something else is not yet serving.
#[tokio::test]
async fn waiting_for_something_else_is_not_serving() {
    let mut supervisor = TestSupervisor::editable("serve-polling", |options| options.listen.push(web()));
    supervisor.ready(1).await;
    supervisor.sandbox.write("steps", "poll-pipe 700 exit 3");
    supervisor.change();
    let failed = |number, phase: &Phase| matches!(phase, Phase::Failed(_)).then_some(number);
    assert_eq!(supervisor.phase("a failure", failed).await, 2);
    supervisor.stop().await;
}

/// A port that somebody else has is no reason to end a server that serves.
#[tokio::test]
async fn a_port_that_a_stranger_has_leaves_the_old_generation_alone() {
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = stranger.local_addr().unwrap().port();
    let mut supervisor = TestSupervisor::editable("serve", |options| {
        options.port = Port::Own;
        options.capture = Capture::All;
    });
    let address = supervisor.phase("an address", |_, phase| address_of(phase)).await;
    supervisor.sandbox.write("steps", format!("hold-at {port} serve"));
    supervisor.change();
    let failed = |number, phase: &Phase| matches!(phase, Phase::Failed(_)).then_some(number);
    assert_eq!(supervisor.phase("a failure", failed).await, 2);
    assert_eq!(ask(address), "1");
    supervisor.stop().await;
}
