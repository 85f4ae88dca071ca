//! Changes and requests that have not led to a new generation yet. Pure.

use std::time::Instant;

use crate::change::Batch;

/// A restart that is due, or waits until it may begin.
#[derive(Debug, Default)]
pub(super) struct PendingRestart {
    batch: Option<Batch>,
    /// The restart was asked for, so it does not depend on changes.
    requested: bool,
    /// A suspected restart loop delays the restart until this time.
    delayed_until: Option<Instant>,
}

impl PendingRestart {
    /// Adds a request that needs no change.
    pub(super) fn request(&mut self) {
        self.requested = true;
    }

    /// Adds changes. They are delayed only if everything that is pending already is.
    pub(super) fn add(&mut self, batch: Batch, until: Option<Instant>) {
        let can_wait = self.is_empty() || self.delayed_until.is_some();
        // An earlier delay is not prolonged.
        self.delayed_until = until.filter(|_| can_wait).map(|until| self.delayed_until.unwrap_or(until));
        match &mut self.batch {
            Some(known) => known.merge(batch),
            none => *none = Some(batch),
        }
    }

    /// Ends the delay if its time has passed.
    pub(super) fn end_delay(&mut self, now: Instant) {
        self.delayed_until = self.delayed_until.filter(|until| *until > now);
    }

    /// End of the delay.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.delayed_until
    }

    pub(super) fn is_delayed(&self) -> bool {
        self.delayed_until.is_some()
    }

    pub(super) fn is_requested(&self) -> bool {
        self.requested
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.requested && self.batch.as_ref().is_none_or(|batch| batch.changes.is_empty())
    }

    /// Time of the last change; `None` if a restart was requested without one.
    pub(super) fn last_change(&self) -> Option<Instant> {
        self.batch.as_ref().map(|batch| batch.compared_at)
    }

    /// Forgets everything, and returns the changes.
    pub(super) fn take(&mut self) -> Option<Batch> {
        std::mem::take(self).batch
    }
}
