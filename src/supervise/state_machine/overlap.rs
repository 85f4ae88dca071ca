//! Whether a new generation starts while the old one serves. Pure.

use crate::GenerationId;

/// Whether a new generation starts while the old one serves. Otherwise generations take turns.
#[derive(Debug)]
pub(super) struct Overlap {
    allowed: bool,
    /// The newest generation that serves on another address than the port that it was given.
    elsewhere: Option<Elsewhere>,
}

#[derive(Debug)]
struct Elsewhere {
    generation: GenerationId,
    /// Generations take turns because of such an address.
    ended_overlap: bool,
}

impl Overlap {
    pub(super) fn new(allowed: bool) -> Self {
        Self { allowed, elsewhere: None }
    }

    pub(super) fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// Ends the overlap. Returns whether it was allowed until now.
    pub(super) fn end(&mut self) -> bool {
        std::mem::replace(&mut self.allowed, false)
    }

    /// Ends the overlap, because this generation serves on an address that only one generation can have. Returns
    /// whether it was allowed until now.
    pub(super) fn end_for(&mut self, generation: GenerationId) -> bool {
        let ended_before = self.elsewhere.as_ref().is_some_and(|earlier| earlier.ended_overlap);
        let was_allowed = self.end();
        self.elsewhere = Some(Elsewhere { generation, ended_overlap: was_allowed || ended_before });
        was_allowed
    }

    /// Allows the overlap again if it ended for this generation. Returns `false` if the generation did not serve
    /// elsewhere.
    pub(super) fn resume_for(&mut self, generation: GenerationId) -> bool {
        let Some(elsewhere) = self.elsewhere.take_if(|elsewhere| elsewhere.generation == generation) else {
            return false;
        };
        self.allowed |= elsewhere.ended_overlap;
        true
    }
}
