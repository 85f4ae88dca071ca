//! Why changes lead to no restart.

use devrun::session::Event;
use devrun::supervise::{self, Phase};

/// What keeps changes from restarting COMMAND until the user ends it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rest {
    is_paused: bool,
    /// COMMAND is stopped on request, or is being stopped.
    is_halted: bool,
    /// Nothing runs any more.
    is_halt_complete: bool,
}

impl Rest {
    /// Follows an event. Returns whether the event only repeats what is in effect, as the first ones of a new session do.
    pub(super) fn update(&mut self, event: &Event) -> bool {
        let Event::Child(event) = event else { return false };
        let before = *self;
        match event {
            supervise::Event::Paused => self.is_paused = true,
            supervise::Event::Resumed => self.is_paused = false,
            supervise::Event::Halting => self.is_halted = true,
            supervise::Event::Halted => self.is_halt_complete = true,
            supervise::Event::Restarting { .. }
            | supervise::Event::Phase { phase: Phase::Building | Phase::Starting { .. }, .. } => {
                (self.is_halted, self.is_halt_complete) = (false, false);
                return false;
            }
            _ => return false,
        }
        *self == before
    }

    /// Whether changes are remembered until the user resumes.
    pub(crate) fn is_paused(self) -> bool {
        self.is_paused
    }

    /// Whether COMMAND is stopped on request, or is being stopped.
    pub(crate) fn is_halted(self) -> bool {
        self.is_halted
    }

    /// The word in the title and behind a change, and the text of the status line.
    pub(super) fn words(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self { is_halted: true, .. } => Some(("stopped", "stopped on request, r and Enter starts")),
            Self { is_paused: true, .. } => Some(("paused", "paused, p and Enter resumes")),
            _ => None,
        }
    }
}
