//! Sockets that devrun holds and hands over, changed by an earlier generation. How devrun detects that a
//! server accepts.

use std::net::SocketAddr;

use devrun::supervise::{Capture, Endpoint, Listen, Phase, Port};

use crate::support::supervisor::{TestSupervisor, address_of, ask};

/// A socket on a free port, called `web`.
pub(crate) fn web() -> Listen {
    let endpoint = Endpoint::Tcp(([127, 0, 0, 1], 0).into());
    Listen { name: Some("web".to_owned()), endpoint, answer: true }
}

/// The address of the first held socket.
pub(crate) fn tcp(supervisor: &TestSupervisor) -> SocketAddr {
    let Endpoint::Tcp(address) = supervisor.endpoints()[0] else { panic!("no TCP") };
    address
}

#[tokio::test]
async fn each_generation_inherits_a_socket_of_its_own() {
    let mut supervisor = TestSupervisor::start("serve 150", |options| options.port = Port::Inherited);
    let first = supervisor.phase("an address", |_, phase| address_of(phase)).await;
    // A client could connect from the start. The generation is ready when the server accepts.
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

/// Event-loop servers make the socket non-blocking and expect that it stays non-blocking while they serve.
#[tokio::test]
async fn a_running_server_keeps_its_socket_non_blocking() {
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

/// A server that is alone with its socket gets it in blocking mode, as `sd_listen_fds(3)` says.
#[tokio::test]
async fn a_server_that_is_alone_with_its_socket_gets_it_in_blocking_mode() {
    let mut supervisor = TestSupervisor::editable("serve-polling", |options| {
        options.listen.push(web());
        options.overlap = false;
    });
    let address = tcp(&supervisor);
    supervisor.ready(1).await;
    assert_eq!(ask(address), "1");
    // This server exits when `accept` has no client for it.
    supervisor.sandbox.write("steps", "serve-strictly");
    supervisor.change();
    supervisor.ready(2).await;
    assert_eq!(ask(address), "2");
    assert_eq!(ask(address), "2");
    supervisor.stop().await;
}

/// devrun answers on the socket for a time and returns it unchanged, even if the older generation still runs.
#[tokio::test]
async fn a_socket_that_devrun_answered_on_returns_unchanged() {
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
    assert!(supervisor.answering_sockets(1).is_empty(), "the socket belongs to the new generation");
    assert_eq!(ask(address), "2");
    supervisor.stop().await;
}

/// A process that has the socket open and polls another descriptor does not serve yet.
#[tokio::test]
async fn a_server_that_polls_another_descriptor_is_not_ready() {
    let mut supervisor = TestSupervisor::editable("serve-polling", |options| options.listen.push(web()));
    supervisor.ready(1).await;
    supervisor.sandbox.write("steps", "poll-pipe 700 exit 3");
    supervisor.change();
    let failed = |number, phase: &Phase| matches!(phase, Phase::Failed(_)).then_some(number);
    assert_eq!(supervisor.phase("a failure", failed).await, 2);
    supervisor.stop().await;
}

/// A port that another process uses does not end the running server.
#[tokio::test]
async fn a_port_of_another_process_keeps_the_old_generation() {
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
