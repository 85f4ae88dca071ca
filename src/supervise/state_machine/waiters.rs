//! The owner's questions that wait until everything before them is decided. Pure.

use super::action::Action;
use crate::supervise::event::{Event, Outcome, Phase};
use crate::{GenerationId, SyncId};

/// The open questions of [`crate::supervise::Request::Settle`], and what decides them.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    /// From the oldest to the newest.
    waiting: Vec<Waiter>,
    /// The generation that began last.
    newest: Option<GenerationId>,
    /// How the newest generation that is ready or has failed or ended came out. It serves, or nothing runs since.
    decided: Option<(GenerationId, Outcome)>,
}

#[derive(Debug)]
struct Waiter {
    id: SyncId,
    /// The first generation that includes every change and request from before the question; `None` as long as these
    /// have led to no generation.
    generation: Option<GenerationId>,
}

/// What the machine does at the end of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Situation {
    /// The supervisor stops.
    Stopping,
    /// COMMAND does not run until the owner asks for its start.
    Halted,
    /// Changes wait, and no generation begins for them before the owner resumes.
    Paused,
    /// A change, a request or the end of a delay leads to the next generation.
    Due,
    /// No other generation is due than the one that began last.
    Idle,
}

impl Waiters {
    pub(super) fn add(&mut self, id: SyncId) {
        self.waiting.push(Waiter { id, generation: None });
    }

    pub(super) fn remove(&mut self, id: SyncId) {
        self.waiting.retain(|waiter| waiter.id != id);
    }

    /// Learns from the actions of a step which generations begin, and how they come out.
    pub(super) fn observe(&mut self, actions: &[Action]) {
        for action in actions {
            match action {
                Action::Emit(Event::Restarting { generation, .. })
                | Action::Build { generation, .. }
                | Action::Spawn { generation, .. } => self.begun(*generation),
                Action::Emit(Event::Phase { generation, phase }) => self.phase(*generation, phase),
                _ => {}
            }
        }
    }

    fn begun(&mut self, generation: GenerationId) {
        self.newest = Some(generation);
        // The number of a generation whose build failed is used again.
        self.decided.take_if(|(decided, _)| *decided >= generation);
        for waiter in &mut self.waiting {
            waiter.generation.get_or_insert(generation);
        }
    }

    fn phase(&mut self, generation: GenerationId, phase: &Phase) {
        let outcome = match phase {
            Phase::Ready { .. } => Outcome::Ready { generation },
            Phase::Failed(report) | Phase::BuildFailed(report) => {
                Outcome::Failed { generation, report: report.clone() }
            }
            Phase::Exited(report) => Outcome::Ended { generation, report: report.clone() },
            _ => return,
        };
        if self.decided.as_ref().is_none_or(|(decided, _)| *decided <= generation) {
            self.decided = Some((generation, outcome));
        }
    }

    /// Answers what is decided now.
    pub(super) fn answer(&mut self, situation: Situation) -> Vec<Event> {
        let Self { waiting, newest, decided } = self;
        let mut events = Vec::new();
        waiting.retain_mut(|waiter| match waiter.outcome(*newest, decided.as_ref(), situation) {
            Some(outcome) => {
                events.push(Event::Settled { id: waiter.id, outcome });
                false
            }
            None => true,
        });
        events
    }
}

impl Waiter {
    fn outcome(
        &mut self,
        newest: Option<GenerationId>,
        decided: Option<&(GenerationId, Outcome)>,
        situation: Situation,
    ) -> Option<Outcome> {
        let is_stopped = match situation {
            Situation::Stopping => Some(Outcome::Stopping),
            Situation::Halted => Some(Outcome::Halted),
            _ => None,
        };
        let generation = match (self.generation, situation) {
            (Some(generation), _) => generation,
            (None, Situation::Stopping | Situation::Halted) => return is_stopped,
            (None, Situation::Paused) => return Some(Outcome::Paused),
            (None, Situation::Due) => return None,
            (None, Situation::Idle) => {
                let Some(newest) = newest else { return Some(Outcome::NotStarted) };
                *self.generation.insert(newest)
            }
        };
        // A generation that fails while its successor is on its way decides nothing.
        let counts = |known: GenerationId, outcome: &Outcome| {
            known >= generation && (outcome.is_ready() || Some(known) == newest)
        };
        let decided = decided.filter(|(known, outcome)| counts(*known, outcome));
        decided.map(|(_, outcome)| outcome.clone()).or(is_stopped)
    }
}
