//! Pure: the state of all generations, and what every step asks of it. Decides nothing.

use std::time::Instant;

use super::backoff::Backoff;
use super::decision::Action;
use super::event::{Event, SupervisorExit};
use super::generation::{Due, Generation, Next, Progress};
use super::loops::RestartLoops;
use super::options::{OnLoop, Options};
use super::phase::Phase;
use super::policy::Settings;
use super::signal::Signal;

/// The state of all generations.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) settings: Settings,
    pub(super) generations: Vec<Generation>,
    pub(super) next: Option<Next>,
    pub(super) due: Due,
    /// The number of the last generation that was started.
    pub(super) started: u64,
    /// Everything up to here is in what was last begun.
    pub(super) basis: Option<Instant>,
    pub(super) paused: bool,
    pub(super) backoff: Backoff,
    pub(super) ending: Option<SupervisorExit>,
    pub(super) ended: bool,
    pub(super) loops: RestartLoops,
    pub(super) actions: Vec<Action>,
}

impl Machine {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            settings: Settings::new(options),
            generations: Vec::new(),
            next: None,
            due: Due::default(),
            started: 0,
            basis: None,
            paused: false,
            backoff: Backoff::new(),
            ending: None,
            ended: false,
            loops: RestartLoops::new(options.on_loop == OnLoop::Warn),
            actions: Vec::new(),
        }
    }

    /// When [`Input::Time`] is due, if nothing else comes before.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let cancel = match self.next.as_ref().map(|next| next.progress) {
            Some(Progress::Cancelling { kill_at, killed: false }) => Some(kill_at),
            _ => None,
        };
        let generations = self.generations.iter().filter_map(Generation::deadline);
        generations.chain(cancel).chain(self.backoff.at()).chain(self.due.until()).min()
    }

    pub(super) fn find(&self, number: u64) -> Option<usize> {
        self.generations.iter().position(|one| one.number == number)
    }

    pub(super) fn tell(&mut self, generation: u64, phase: Phase) {
        self.actions.push(Action::Tell(Event::Phase { generation, phase }));
    }

    pub(super) fn deliver(&mut self, signal: Signal) {
        if let Some(one) = self.generations.iter().rev().find(|one| one.active()) {
            self.actions.push(Action::Deliver { generation: one.number, signal });
        }
    }
}
