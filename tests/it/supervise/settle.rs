//! What became of a change: one answer to each question. Halts and starts.

use devrun::Command;
use devrun::supervise::{Event, OnBusy, OnExit, Outcome, Phase, Port, ProcessExit, Request};
use devrun::{GenerationId, SyncId};

use crate::support::sandbox::{example, lives};
use crate::support::supervisor::TestSupervisor;

/// Waits for the answer to this question.
async fn answer(supervisor: &mut TestSupervisor, question: u64) -> Outcome {
    let settled = |event: &Event| match event {
        Event::Settled { id, outcome } if id.number() == question => Some(outcome.clone()),
        _ => None,
    };
    supervisor.wait("an answer", settled).await
}

/// Asks, and waits for the answer.
async fn settle(supervisor: &mut TestSupervisor, question: u64) -> Outcome {
    supervisor.send(Request::Settle(SyncId::new(question)));
    answer(supervisor, question).await
}

fn ready(generation: u64) -> Outcome {
    Outcome::Ready { generation: GenerationId::new(generation) }
}

/// The generation that failed, and how.
fn failure(outcome: &Outcome) -> (u64, ProcessExit) {
    let Outcome::Failed { generation, report } = outcome else { panic!("{outcome:?}") };
    (generation.number(), report.ended)
}

#[tokio::test]
async fn an_edit_that_fails_is_answered_by_its_failure_and_the_mended_one_by_its_generation() {
    let mut supervisor = TestSupervisor::editable("serve", |options| options.port = Port::Own);
    assert_eq!(settle(&mut supervisor, 1).await, ready(1));
    supervisor.sandbox.write("steps", "exit 3");
    supervisor.change();
    for question in [2, 3] {
        let outcome = settle(&mut supervisor, question).await;
        assert_eq!(failure(&outcome), (2, ProcessExit::Status(3)));
    }
    supervisor.sandbox.write("steps", "serve");
    supervisor.change();
    assert_eq!(settle(&mut supervisor, 4).await, ready(3));
    supervisor.stop().await;
}

#[tokio::test]
async fn a_generation_that_is_replaced_before_it_is_ready_leaves_the_answer_to_its_successor() {
    let mut supervisor = TestSupervisor::editable("await {}/never serve", |options| options.port = Port::Own);
    let started =
        |number, phase: &Phase| (number == 1 && matches!(phase, Phase::Starting { .. })).then_some(());
    supervisor.phase("a start", started).await;
    supervisor.send(Request::Settle(SyncId::new(1)));
    supervisor.sandbox.write("steps", "serve");
    supervisor.change();
    assert_eq!(answer(&mut supervisor, 1).await, ready(2));
    supervisor.stop().await;
}

#[tokio::test]
async fn a_build_that_fails_is_the_answer() {
    let mut supervisor = TestSupervisor::editable("sleep", |options| {
        let line = "! grep -q broken \"$0/steps\"";
        let directory = options.command.args.last().unwrap().clone();
        options.builds = vec![Command::new("sh").arg("-c").arg(line).arg(directory)];
    });
    assert_eq!(settle(&mut supervisor, 1).await, ready(1));
    supervisor.sandbox.write("steps", "print broken sleep");
    supervisor.change();
    let outcome = settle(&mut supervisor, 2).await;
    assert_eq!(failure(&outcome), (2, ProcessExit::Status(1)));
    supervisor.stop().await;
}

#[tokio::test]
async fn a_change_that_waits_for_the_end_of_a_busy_command_is_answered_after_it() {
    let mut supervisor =
        TestSupervisor::start("await {}/go exit 0", |options| options.on_busy = OnBusy::Queue);
    supervisor.ready(1).await;
    supervisor.change();
    supervisor.send(Request::Settle(SyncId::new(1)));
    supervisor.sandbox.write("go", "");
    assert_eq!(answer(&mut supervisor, 1).await, ready(2));
    supervisor.stop().await;
}

#[tokio::test]
async fn a_command_that_is_restarted_after_its_end_is_answered_by_its_next_start() {
    let mut supervisor = TestSupervisor::start("", |options| {
        let line = "test $DEVRUN_GENERATION = 1 && exit 3; exec \"$0\" serve";
        options.command = Command::new("sh").arg("-c").arg(line).arg(example("child"));
        (options.port, options.on_exit) = (Port::Own, OnExit::Restart);
    });
    let waiting = |event: &Event| matches!(event, Event::Waiting { backoff: Some(_) }).then_some(());
    supervisor.wait("a delay", waiting).await;
    assert_eq!(settle(&mut supervisor, 1).await, ready(2));
    supervisor.stop().await;
}

#[tokio::test]
async fn changes_wait_during_a_pause_and_a_halt() {
    let mut supervisor = TestSupervisor::start("log {}/log up sleep", |_| {});
    supervisor.logged("up", 1).await;
    for request in [Request::Pause, Request::Pause] {
        supervisor.send(request);
    }
    assert_eq!(settle(&mut supervisor, 1).await, ready(1));
    supervisor.change();
    assert_eq!(settle(&mut supervisor, 2).await, Outcome::Paused);
    supervisor.send(Request::Halt);
    supervisor.send(Request::Resume);
    assert_eq!(settle(&mut supervisor, 3).await, Outcome::Halted);
    let halted = |event: &Event| matches!(event, Event::Halted).then_some(());
    supervisor.wait("the end of the command", halted).await;
    assert!(supervisor.pids().into_iter().all(|pid| !lives(pid)));
    supervisor.change();
    supervisor.send(Request::Start);
    assert_eq!(settle(&mut supervisor, 4).await, ready(2));
    supervisor.stop().await;
    let named = |name: &str| supervisor.seen.iter().filter(|event| format!("{event:?}") == name).count();
    assert_eq!(["Paused", "Resumed", "Halting", "Halted"].map(named), [1; 4], "{:#?}", supervisor.seen);
}

#[tokio::test]
async fn a_halted_supervisor_ends_at_once() {
    let mut supervisor = TestSupervisor::start("sleep", |options| options.on_exit = OnExit::Quit);
    supervisor.ready(1).await;
    supervisor.send(Request::Halt);
    let halted = |event: &Event| matches!(event, Event::Halted).then_some(());
    supervisor.wait("the end of the command", halted).await;
    supervisor.send(Request::Settle(SyncId::new(1)));
    supervisor.stop().await;
    assert!(
        supervisor.seen.iter().any(|event| matches!(event, Event::Settled { outcome: Outcome::Halted, .. }))
    );
}
