//! The machine by itself: cases as text files, and what must hold whatever comes in.
//!
//! A case is a file under `tests/cases/machine`: `= OPTION…` sets it up, `> MS INPUT` feeds it, and the lines after it are
//! the actions that must follow, in order.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::change::{Change, ChangeKind};
use crate::supervise::command::{Command, Stdin};
use crate::supervise::event::Event;
use crate::supervise::generation::Stage;
use crate::supervise::options::{OnExit, OnLoop, Options, Port};
use crate::supervise::phase::ProcessExit;
use crate::supervise::policy::Settings;
use crate::supervise::signal::Signal;
use crate::supervise::sockets::{Endpoint, Listen};

fn options(words: &str) -> Options {
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

fn batch(at: Instant) -> Batch {
    let change = Change { path: "/project/app.py".into(), kind: ChangeKind::Modified };
    Batch { changes: vec![change], first: at, last: at }
}

/// `change [PATH[=created|=removed]]…`
fn changed(words: &[&str], at: Instant) -> Input {
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
    Input::Changed(batch)
}

fn report(ended: ProcessExit) -> ExitReport {
    ExitReport { ended, ran: Duration::ZERO, message: None, remedy: crate::Remedy::None, output: Vec::new() }
}

fn input(words: &str, now: Instant) -> Input {
    let words: Vec<&str> = words.split(' ').collect();
    let generation = words.get(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    match words[0] {
        "begin" => Input::Begin,
        "change" => changed(&words[1..], now),
        "stale-change" => Input::Changed(batch(now - Duration::from_secs(1))),
        "restart" => Input::Restart,
        "drained" => Input::Drained(generation),
        "pause" => Input::Pause,
        "resume" => Input::Resume,
        "stop" => Input::Stop,
        "kill" => Input::Kill,
        "built" => Input::Built { generation, failure: None },
        "build-failed" => Input::Built { generation, failure: Some(report(ProcessExit::Status(101))) },
        "spawned" => Input::Spawned { generation, pid: 100 },
        "not-spawned" => Input::NotSpawned { generation, report: report(ProcessExit::NotStarted(127)) },
        "ready" => Input::Ready { generation, address: None },
        "elsewhere" => Input::Elsewhere { generation, address: address() },
        "in-the-way" => Input::InTheWay { generation, holder: generation - 1, address: address() },
        "exited" => Input::Exited { generation, report: report(ProcessExit::Status(1)) },
        "interrupted" => Input::Exited { generation, report: report(ProcessExit::Signal(Signal::INT)) },
        "gone" => Input::Gone { generation },
        "time" => Input::Time,
        other => panic!("no input is called {other}"),
    }
}

fn line(action: &Action) -> String {
    match action {
        Action::Build { generation, .. } => format!("build {generation}"),
        Action::CancelBuild { kill } => (if *kill { "kill-build" } else { "cancel-build" }).to_owned(),
        Action::Spawn { generation, because } => {
            format!("spawn {generation}{}", if because.is_some() { " because" } else { "" })
        }
        Action::Signal { generation, .. } => format!("signal {generation}"),
        Action::Deliver { generation, signal } => format!("deliver {generation} {signal}"),
        Action::Kill { generation, .. } => format!("kill {generation}"),
        Action::Abandon { generation } => format!("abandon {generation}"),
        Action::End(exit) => format!("end {exit:?}"),
        Action::Tell(Event::Phase { generation, phase }) => {
            let name = format!("{phase:?}");
            let name = name.split([' ', '(', '{']).next().unwrap_or_default();
            format!("tell {} {generation}", name.to_lowercase())
        }
        Action::Tell(Event::Restarting { generation, .. }) => format!("tell restarting {generation}"),
        Action::Tell(Event::Waiting { backoff }) => match backoff {
            Some(backoff) => format!("tell waiting {}", backoff.as_millis()),
            None => "tell waiting".to_owned(),
        },
        Action::Tell(Event::ListensElsewhere { generation, .. }) => format!("tell elsewhere {generation}"),
        Action::Tell(Event::Loop { path, directory, times }) => {
            let looping = directory.as_ref().unwrap_or(path);
            let name = looping.strip_prefix("/project").unwrap_or(looping).display();
            let what = if directory.is_some() { "directory" } else { "file" };
            format!("tell loop {what} {name} {times}")
        }
        Action::Tell(other) => format!("tell {other:?}"),
    }
}

/// Replays one case and writes down what really happens.
fn replay(case: &str) -> String {
    let start = Instant::now() + Duration::from_secs(1000);
    let mut machine = Machine::new(&options(""));
    let mut text = String::new();
    for given in case.lines() {
        if let Some(words) = given.strip_prefix("= ") {
            machine = Machine::new(&options(words));
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

/// What a world of processes answers, in an order and with delays that chance decides.
struct World {
    machine: Machine,
    overlap: bool,
    now: Instant,
    /// Generations whose tree lives, and whether each is ready, and whether it was killed.
    living: std::collections::BTreeMap<u64, (bool, bool)>,
    building: Option<u64>,
    /// The last change, and when what was last begun began.
    changed: Option<Instant>,
    begun: Option<Instant>,
    failed: bool,
    stopping: bool,
    ended: bool,
}

impl World {
    fn new(words: &str) -> Self {
        let options = options(words);
        let overlap = Settings::new(&options).overlap;
        let mut world = Self {
            machine: Machine::new(&options),
            overlap,
            now: Instant::now(),
            living: std::collections::BTreeMap::new(),
            building: None,
            changed: None,
            begun: None,
            failed: false,
            stopping: false,
            ended: false,
        };
        world.feed(Input::Begin);
        world
    }

    fn feed(&mut self, input: Input) {
        let mut inputs = std::collections::VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for action in self.machine.step(input, self.now) {
                self.perform(action, &mut inputs);
            }
        }
    }

    fn perform(&mut self, action: Action, inputs: &mut std::collections::VecDeque<Input>) {
        assert!(!self.ended, "nothing follows the end: {action:?}");
        match action {
            Action::Build { generation, .. } => {
                assert!(self.building.is_none(), "one build at a time");
                (self.building, self.begun) = (Some(generation), Some(self.now));
                self.failed = false;
            }
            Action::Spawn { generation, .. } => {
                assert!(!self.stopping, "nothing starts during a stop");
                let alone = self.living.is_empty();
                assert!(alone || self.overlap, "a start beside {:?}", self.living);
                assert!(self.living.values().all(|(ready, _)| *ready), "two are starting: {:?}", self.living);
                self.living.insert(generation, (false, false));
                if !self.machine.settings.builds {
                    self.begun = Some(self.now);
                }
                self.failed = false;
                inputs.push_back(Input::Spawned { generation, pid: 7 });
            }
            Action::Kill { generation, .. } => {
                if let Some((_, killed)) = self.living.get_mut(&generation) {
                    *killed = true;
                }
            }
            Action::Abandon { generation } => drop(self.living.remove(&generation)),
            Action::Tell(Event::Phase { phase: Phase::BuildFailed(_), .. }) => self.failed = true,
            Action::Signal { generation, .. } => {
                assert!(self.living.contains_key(&generation), "a signal for nobody");
            }
            Action::End(_) => self.ended = true,
            _ => {}
        }
    }

    /// One thing happens.
    fn happen(&mut self, choice: u8, which: u8, pause: u16) {
        self.now += Duration::from_millis(u64::from(pause));
        let generation = self.living.keys().nth(usize::from(which) % self.living.len().max(1)).copied();
        match (choice % 12, generation) {
            (0 | 1, _) if !self.stopping => {
                self.changed = Some(self.now);
                self.feed(Input::Changed(batch(self.now)));
            }
            (2, Some(generation)) => {
                if let Some((ready, _)) = self.living.get_mut(&generation) {
                    *ready = true;
                }
                self.feed(Input::Ready { generation, address: None });
            }
            (3, Some(generation)) => {
                self.feed(Input::Exited { generation, report: report(ProcessExit::Status(1)) });
                self.go(generation);
            }
            (4, Some(generation)) => self.feed(Input::Drained(generation)),
            (5 | 6, Some(generation)) if self.is_ending(generation) => self.go(generation),
            (7, _) => self.finish_build(which.is_multiple_of(2)),
            (8, _) => self.feed(Input::Restart),
            (9, _) => self.feed(if which.is_multiple_of(2) { Input::Pause } else { Input::Resume }),
            _ => self.feed(Input::Time),
        }
    }

    fn is_ending(&self, generation: u64) -> bool {
        let one = self.machine.generations.iter().find(|one| one.number == generation);
        one.is_some_and(|one| matches!(one.stage, Stage::Stopping { .. } | Stage::Killed { .. }))
    }

    fn go(&mut self, generation: u64) {
        self.living.remove(&generation);
        self.feed(Input::Gone { generation });
    }

    fn finish_build(&mut self, well: bool) {
        if let Some(generation) = self.building.take() {
            let failure = (!well).then(|| report(ProcessExit::Status(101)));
            self.feed(Input::Built { generation, failure });
        }
    }

    /// Lets everything that was begun come to its end.
    fn come_to_rest(&mut self) {
        for _ in 0..200 {
            let ending: Vec<u64> = self.living.keys().copied().filter(|one| self.is_ending(*one)).collect();
            ending.into_iter().for_each(|generation| self.go(generation));
            self.finish_build(true);
            for (generation, (ready, _)) in &mut self.living.clone() {
                if !*ready {
                    self.living.insert(*generation, (true, false));
                    self.feed(Input::Ready { generation: *generation, address: None });
                }
            }
            match self.machine.deadline() {
                Some(deadline) => self.now = self.now.max(deadline),
                None if self.building.is_none() && self.living.values().all(|(ready, _)| *ready) => return,
                None => {}
            }
            self.feed(Input::Time);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_in(
        setup in prop::sample::select(vec![
            "", "build", "own-port", "own-port drain", "own-port drain build", "fixed-port drain", "listen",
            "no-overlap own-port drain", "restart-on-exit", "postpone", "own-port restart-on-exit drain",
            "env-file", "env-file own-port drain",
        ]),
        steps in prop::collection::vec((any::<u8>(), any::<u8>(), 0_u16..400), 0..120),
        kill in any::<bool>(),
    ) {
        let mut world = World::new(setup);
        for (choice, which, pause) in steps {
            world.happen(choice, which, pause);
        }
        world.feed(Input::Resume);
        world.come_to_rest();
        // A change is never forgotten.
        if let Some(changed) = world.changed {
            prop_assert!(world.begun.is_some_and(|begun| begun >= changed) , "a change was forgotten");
        }
        prop_assert!(world.living.len() <= 1, "at rest at most one lives: {:?}", world.living);
        // A stop always ends, whether processes obey or not.
        world.stopping = true;
        world.feed(if kill { Input::Kill } else { Input::Stop });
        for _ in 0..50 {
            world.finish_build(true);
            if let Some(deadline) = world.machine.deadline() {
                world.now = world.now.max(deadline);
            }
            world.feed(Input::Time);
        }
        prop_assert!(world.ended, "the stop did not end: {:?}", world.machine);
    }
}
