//! The state that the watch thread shares with its owner.

use std::sync::{Arc, Mutex, MutexGuard};

use crate::sync;

use super::snapshot::Snapshot;
use super::stats::EventCounts;
use super::summary::{Summary, SummaryContext};

/// The shared state. Each part has its own lock, which is held briefly.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    snapshot: Arc<Mutex<Snapshot>>,
    event_counts: Mutex<EventCounts>,
    summary_context: Mutex<SummaryContext>,
}

impl Shared {
    /// A handle to the snapshot for another thread.
    pub(crate) fn snapshot_handle(&self) -> Arc<Mutex<Snapshot>> {
        Arc::clone(&self.snapshot)
    }

    /// The snapshot, locked.
    pub(crate) fn snapshot(&self) -> MutexGuard<'_, Snapshot> {
        sync::lock(&self.snapshot)
    }

    /// The events per path, locked.
    pub(crate) fn event_counts(&self) -> MutexGuard<'_, EventCounts> {
        sync::lock(&self.event_counts)
    }

    /// Replaces the context of the summary.
    pub(crate) fn set_summary_context(&self, context: SummaryContext) {
        *sync::lock(&self.summary_context) = context;
    }

    /// The current summary.
    pub(crate) fn summary(&self) -> Summary {
        let context = sync::lock(&self.summary_context).clone();
        context.summarize(&self.snapshot())
    }
}
