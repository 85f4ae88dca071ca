//! How a server listens, read off the sockets of its processes.

use devrun::GenerationId;
use devrun::supervise::{Capture, Event, Phase, Port};

use crate::supervise::sockets::{tcp, web};
use crate::support::supervisor::{TestSupervisor, address_of, ask};

#[tokio::test]
async fn a_server_that_listens_elsewhere_is_found_and_generations_take_turns() {
    let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = probe.local_addr().unwrap().port();
    drop(probe);
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
    assert!(stopped.unwrap() < started.unwrap(), "one after the other");
    supervisor.stop().await;
}

/// A generation that takes longer to load than an unseen server is doubted, and then fails: the old one serves on.
#[tokio::test]
async fn a_generation_that_fails_late_has_replaced_nobody() {
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

/// A second port that is written down keeps generations from living side by side: the next one is tried again without the old.
#[tokio::test]
async fn a_port_that_only_one_can_have_makes_generations_take_turns() {
    let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = probe.local_addr().unwrap().port();
    drop(probe);
    let mut supervisor = TestSupervisor::start(&format!("hold-at {port} serve"), |options| {
        options.port = Port::Own;
        options.capture = Capture::All;
    });
    supervisor.ready(1).await;
    supervisor.change();
    let address =
        supervisor.phase("an address", |number, phase| address_of(phase).filter(|_| number == 3)).await;
    assert_eq!(ask(address), "3");
    let told = |event: &Event| matches!(event, Event::ListensElsewhere { generation: GenerationId::FIRST, address } if address.port() == port);
    assert!(supervisor.seen.iter().any(told));
    supervisor.change();
    supervisor.ready(4).await;
    supervisor.stop().await;
}
