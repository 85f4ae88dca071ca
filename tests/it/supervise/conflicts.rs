//! Servers that cannot run twice at a time, and what devrun recognises them by.

use devrun::supervise::{Capture, Event, Options, Phase, Port};
use devrun::{GenerationId, Remedy};

use super::found_sockets::unused_port;
use crate::support::supervisor::{TestSupervisor, address_of, ask};

fn captured(options: &mut Options) {
    (options.port, options.capture) = (Port::Own, Capture::All);
}

/// The words for which generations take turns.
fn words(events: &[Event]) -> Vec<String> {
    let words = |event: &Event| match event {
        Event::TakesTurns { words, .. } => Some(words.clone()),
        _ => None,
    };
    events.iter().filter_map(words).collect()
}

fn was_stopped(events: &[Event], generation: GenerationId) -> bool {
    events.iter().any(|event| {
        matches!(event, Event::Phase { generation: ended, phase: Phase::Stopped } if *ended == generation)
    })
}

/// A second, fixed port prevents two generations at a time. devrun stops the old generation and starts the
/// next one again.
#[tokio::test]
async fn a_fixed_port_makes_generations_take_turns() {
    let port = unused_port();
    let mut supervisor = TestSupervisor::start(&format!("hold-at {port} serve"), captured);
    supervisor.ready(1).await;
    supervisor.change();
    let address =
        supervisor.phase("an address", |number, phase| address_of(phase).filter(|_| number == 3)).await;
    assert_eq!(ask(address), "3");
    let told = |event: &Event| matches!(event, Event::TakesTurns { holder: GenerationId::FIRST, address: Some(address), .. } if address.port() == port);
    assert!(supervisor.seen.iter().any(told));
    supervisor.change();
    supervisor.ready(4).await;
    supervisor.stop().await;
}

#[tokio::test]
async fn a_lock_makes_generations_take_turns() {
    let steps = "lock {}/lock Found_another_Vite_dev_process_running serve";
    let mut supervisor = TestSupervisor::start(steps, captured);
    supervisor.ready(1).await;
    supervisor.change();
    supervisor.ready(3).await;
    supervisor.change();
    supervisor.ready(4).await;
    assert_eq!(words(&supervisor.seen), ["Found another Vite dev process running"]);
    assert!(was_stopped(&supervisor.seen, GenerationId::new(3)), "the old one stops first");
    supervisor.stop().await;
}

/// The debugger of a generation must not be missing, although the server runs without it.
#[tokio::test]
async fn a_port_that_a_living_generation_lacks_makes_generations_take_turns() {
    let port = unused_port();
    let mut supervisor = TestSupervisor::start(&format!("debug-at {port} serve"), captured);
    supervisor.ready(1).await;
    supervisor.change();
    supervisor.ready(3).await;
    let words = words(&supervisor.seen);
    assert_eq!(words, [format!("Starting inspector on 127.0.0.1:{port} failed: address already in use")]);
    assert!(was_stopped(&supervisor.seen, GenerationId::FIRST), "its port is free");
    supervisor.stop().await;
}

/// The line may be about a port of another program, so code that works is not stopped for it.
#[tokio::test]
async fn a_port_of_another_program_stops_no_generation() {
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut supervisor = TestSupervisor::editable("serve", captured);
    supervisor.ready(1).await;
    supervisor.sandbox.write("steps", format!("hold-at {} serve", stranger.local_addr().unwrap().port()));
    supervisor.change();
    let failed = |number, phase: &Phase| matches!(phase, Phase::Failed(_)).then_some(number);
    assert_eq!(supervisor.phase("a failure", failed).await, 2);
    assert_eq!(words(&supervisor.seen), [""; 0]);
    assert!(!was_stopped(&supervisor.seen, GenerationId::FIRST));
    supervisor.stop().await;
}

#[tokio::test]
async fn the_first_death_beside_another_generation_names_the_remedy() {
    let mut supervisor = TestSupervisor::start("lock {}/lock no_luck serve", captured);
    supervisor.ready(1).await;
    for remedy in [Remedy::TakeTurns, Remedy::None] {
        supervisor.change();
        assert_eq!(supervisor.report().await.remedy, remedy);
    }
    supervisor.stop().await;
}

/// The connection is in `FIN_WAIT_2` until its client closes it too: like `TIME_WAIT`, but the test ends it.
#[tokio::test]
async fn a_port_that_closed_connections_keep_is_tried_again() {
    let port = unused_port();
    let mut supervisor = TestSupervisor::start(&format!("hold-rudely {port}"), |options| {
        options.port = Port::Fixed(([127, 0, 0, 1], port).into());
        options.capture = Capture::All;
    });
    supervisor.ready(1).await;
    let mut client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    std::io::Read::read_exact(&mut client, &mut [0; 5]).unwrap();
    supervisor.change();
    let is_warning = |event: &Event| match event {
        Event::Warning { message, .. } => message.starts_with(&format!("port {port} is not free yet")),
        _ => false,
    };
    supervisor.wait("a warning", |event| is_warning(event).then_some(())).await;
    let starts =
        |number, phase: &Phase| (number == 4 && matches!(phase, Phase::Starting { .. })).then_some(());
    supervisor.phase("further starts", starts).await;
    socket2::SockRef::from(&client).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(client);
    let ready = |_, phase: &Phase| matches!(phase, Phase::Ready { .. }).then_some(());
    supervisor.phase("the server", ready).await;
    assert_eq!(supervisor.seen.iter().filter(|event| is_warning(event)).count(), 1);
    assert!(
        !supervisor.seen.iter().any(|event| matches!(event, Event::Phase { phase: Phase::Failed(_), .. }))
    );
    supervisor.stop().await;
}
