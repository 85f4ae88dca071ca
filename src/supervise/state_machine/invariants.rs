//! Properties of the state machine that hold for any order of inputs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::action::{Action, Input};
use super::machine::Machine;
use super::tests::{batch, options, report};
use crate::supervise::event::{Event, Outcome, ProcessExit, Request};
use crate::{GenerationId, Remedy, SyncId};

/// Simulated processes. A random generator decides the order of what happens, and the delays.
struct World {
    machine: Machine,
    has_builds: bool,
    overlap: bool,
    now: Instant,
    /// The generations with processes, and whether each is ready.
    living: BTreeMap<GenerationId, bool>,
    building: Option<GenerationId>,
    last_change: Option<Instant>,
    /// Time at which the newest generation began.
    last_begin: Option<Instant>,
    stopping: bool,
    halted: bool,
    finished: bool,
    /// When each generation began. After this time it reads no file for the first time.
    begins: BTreeMap<GenerationId, Instant>,
    /// The open questions, each with the last change before it.
    asked: BTreeMap<u64, Option<Instant>>,
    questions: u64,
}

impl World {
    fn new(words: &str) -> Self {
        let options = Arc::new(options(words));
        let machine = Machine::new(Arc::clone(&options));
        let mut world = Self {
            overlap: machine.lifecycle().overlaps,
            machine,
            has_builds: !options.builds.is_empty(),
            now: Instant::now(),
            living: BTreeMap::new(),
            building: None,
            last_change: None,
            last_begin: None,
            stopping: false,
            halted: false,
            finished: false,
            begins: BTreeMap::new(),
            asked: BTreeMap::new(),
            questions: 0,
        };
        world.feed(Input::Begin);
        world
    }

    fn feed(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for action in self.machine.step(input, self.now) {
                self.perform(action, &mut inputs);
            }
        }
    }

    fn perform(&mut self, action: Action, inputs: &mut VecDeque<Input>) {
        assert!(!self.finished, "no action follows the end: {action:?}");
        match action {
            Action::Build { generation, .. } => {
                assert!(self.building.is_none(), "one build at a time");
                (self.building, self.last_begin) = (Some(generation), Some(self.now));
                self.begins.insert(generation, self.now);
            }
            Action::Spawn { generation, .. } => {
                assert!(!self.stopping && !self.halted, "no generation starts during a stop or a halt");
                let alone = self.living.is_empty();
                assert!(alone || self.overlap, "a start beside {:?}", self.living);
                assert!(self.living.values().all(|ready| *ready), "two are starting: {:?}", self.living);
                self.living.insert(generation, false);
                if !self.has_builds {
                    self.last_begin = Some(self.now);
                    self.begins.insert(generation, self.now);
                }
                inputs.push_back(Input::Spawned { generation, pid: 7 });
            }
            Action::DiagnoseReadiness { generation } => {
                let (message, remedy) = (String::new(), Remedy::None);
                inputs.push_back(Input::NotReady { generation, message, remedy, output: Vec::new() });
            }
            Action::Abandon { generation } => drop(self.living.remove(&generation)),
            Action::Signal { generation, .. } => {
                assert!(self.living.contains_key(&generation), "a signal for a tree that is gone");
            }
            Action::Emit(Event::Settled { id, outcome }) => self.settled(id, &outcome),
            Action::Finish(_) => {
                assert!(self.asked.is_empty(), "not answered before the end: {:?}", self.asked);
                self.finished = true;
            }
            _ => {}
        }
    }

    fn ask(&mut self) {
        self.questions += 1;
        self.asked.insert(self.questions, self.last_change);
        self.feed(Input::Request(Request::Settle(SyncId::new(self.questions))));
    }

    fn settled(&mut self, id: SyncId, outcome: &Outcome) {
        let change = self.asked.remove(&id.number()).expect("one answer to each question");
        if let Outcome::Ready { generation } | Outcome::Failed { generation, .. } = outcome {
            let begun = self.begins.get(generation).copied();
            assert!(begun >= change, "{outcome:?} began before a change that the question is about");
        }
    }

    fn request_start(&mut self, request: Request) {
        self.halted = false;
        self.feed(Input::Request(request));
    }

    /// Lets one event happen.
    fn happen(&mut self, choice: u8, which: u8, pause: u16) {
        self.now += Duration::from_millis(u64::from(pause));
        let generation = self.living.keys().nth(usize::from(which) % self.living.len().max(1)).copied();
        match (choice % 16, generation) {
            (0 | 1, _) if !self.stopping => {
                self.last_change = Some(self.now);
                self.feed(Input::Request(Request::Changed(batch(self.now))));
            }
            (2, Some(generation)) => {
                self.living.insert(generation, true);
                self.feed(Input::Ready { generation, address: None });
            }
            (3, Some(generation)) => {
                self.feed(Input::LeaderExited { generation, report: report(ProcessExit::Status(1)) });
                self.end_tree(generation);
            }
            (4, Some(generation)) => self.feed(Input::Request(Request::Drained(generation))),
            (5 | 6, Some(generation)) if self.machine.lifecycle().is_stopping(generation) => {
                self.end_tree(generation);
            }
            (7, _) => self.finish_build(which.is_multiple_of(2)),
            (8, _) => self.request_start(Request::Restart),
            (9, _) => self.feed(Input::Request(if which.is_multiple_of(2) {
                Request::Pause
            } else {
                Request::Resume
            })),
            (10, _) => {
                self.halted = true;
                self.feed(Input::Request(Request::Halt));
            }
            (11, _) => self.request_start(Request::Start),
            (12..14, _) => self.ask(),
            _ => self.feed(Input::TimePassed),
        }
    }

    fn end_tree(&mut self, generation: GenerationId) {
        self.living.remove(&generation);
        self.feed(Input::TreeGone { generation });
    }

    fn finish_build(&mut self, success: bool) {
        if let Some(generation) = self.building.take() {
            let failure = (!success).then(|| report(ProcessExit::Status(101)));
            self.feed(Input::Built { generation, failure });
        }
    }

    /// Lets everything that has begun end, as well-behaved processes do.
    fn run_to_rest(&mut self) {
        for _ in 0..200 {
            for generation in self.living.keys().copied().collect::<Vec<_>>() {
                if self.machine.lifecycle().is_stopping(generation) {
                    self.end_tree(generation);
                }
            }
            self.finish_build(true);
            for (generation, ready) in self.living.clone() {
                if !ready {
                    self.living.insert(generation, true);
                    self.feed(Input::Ready { generation, address: None });
                }
            }
            match self.machine.deadline() {
                Some(deadline) => self.now = self.now.max(deadline),
                None if self.building.is_none() && self.living.values().all(|ready| *ready) => return,
                None => {}
            }
            self.feed(Input::TimePassed);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_invariants_hold_for_any_inputs(
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
        world.run_to_rest();
        prop_assert!(world.asked.is_empty(), "not answered at rest: {:?} {:?}", world.asked, world.machine);
        world.feed(Input::Request(Request::Resume));
        world.request_start(Request::Start);
        world.ask();
        world.run_to_rest();
        prop_assert!(world.asked.is_empty(), "not answered at rest: {:?} {:?}", world.asked, world.machine);
        if let Some(change) = world.last_change {
            prop_assert!(world.last_begin.is_some_and(|begin| begin >= change), "a change was forgotten");
        }
        prop_assert!(world.living.len() <= 1, "at rest, at most one generation lives: {:?}", world.living);
        // A stop ends even if the processes ignore it.
        world.stopping = true;
        world.ask();
        world.feed(Input::Request(if kill { Request::Kill } else { Request::Stop }));
        for _ in 0..50 {
            world.finish_build(true);
            if let Some(deadline) = world.machine.deadline() {
                world.now = world.now.max(deadline);
            }
            world.feed(Input::TimePassed);
        }
        prop_assert!(world.finished, "the stop did not end: {:?}", world.machine);
    }
}
