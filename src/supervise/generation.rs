//! Pure: a generation on its way, from what is due to what is gone. Decides nothing.

use std::sync::Arc;
use std::time::Instant;

use crate::change::Batch;

/// How far a generation with a process has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Not ready; failed at this time.
    Starting { failed_at: Instant },
    /// Serves.
    Ready,
    /// Finishes what is in flight, until this time at most.
    Draining { until: Instant },
    /// Was sent the stop signal; is killed at this time.
    Stopping { since: Instant, kill_at: Instant },
    /// Was killed; is given up at this time.
    Killed { give_up_at: Instant },
}

/// A generation that has a process.
#[derive(Debug)]
pub(super) struct Generation {
    pub(super) number: u64,
    pub(super) stage: Stage,
    pub(super) began: Instant,
    /// It was ready once, so that others may start beside it.
    pub(super) served: bool,
    /// Its end was told already: it ended by itself or failed.
    pub(super) told: bool,
}

impl Generation {
    pub(super) fn active(&self) -> bool {
        matches!(self.stage, Stage::Starting { .. } | Stage::Ready)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Ready => None,
            Stage::Starting { failed_at } => Some(failed_at),
            Stage::Draining { until } => Some(until),
            Stage::Stopping { kill_at, .. } => Some(kill_at),
            Stage::Killed { give_up_at } => Some(give_up_at),
        }
    }
}

/// How far the generation that is due has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Its builds run.
    Building,
    /// Its builds are out of date and being stopped; then they run again.
    Cancelling { kill_at: Instant, killed: bool },
    /// It starts as soon as it may.
    Waiting,
}

/// The generation that is due and has no process yet.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) number: u64,
    pub(super) because: Option<Arc<Batch>>,
    /// What it will run includes every change up to here.
    pub(super) basis: Instant,
    pub(super) progress: Progress,
}

/// What has happened and was not acted on.
#[derive(Debug, Default)]
pub(super) struct Due {
    pub(super) batch: Option<Batch>,
    pub(super) asked: bool,
    /// It waits until then: the child may have written it itself.
    until: Option<Instant>,
}

impl Due {
    pub(super) fn is_empty(&self) -> bool {
        !self.asked && self.batch.as_ref().is_none_or(|batch| batch.changes.is_empty())
    }

    /// One more batch, which waits until then, or makes what waits already wait no longer.
    pub(super) fn add(&mut self, batch: Batch, until: Option<Instant>) {
        let held = self.is_empty() || self.until.is_some();
        self.until = if held { until.map(|until| self.until.unwrap_or(until)) } else { None };
        match &mut self.batch {
            Some(known) => known.merge(batch),
            none => *none = Some(batch),
        }
    }

    pub(super) fn waits(&self) -> bool {
        self.until.is_some()
    }

    /// What has waited long enough waits no more.
    pub(super) fn let_go(&mut self, now: Instant) {
        self.until = self.until.filter(|until| *until > now);
    }

    /// When what waits does so no longer.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }
}

/// Two reasons as one.
pub(super) fn join(known: Option<Arc<Batch>>, more: Option<Batch>) -> Option<Arc<Batch>> {
    match (known, more) {
        (Some(known), Some(more)) => {
            let mut joined = Batch::clone(&known);
            joined.merge(more);
            Some(Arc::new(joined))
        }
        (known, more) => known.or(more.map(Arc::new)),
    }
}
