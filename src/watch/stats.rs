//! What is counted while watching, for whoever wants to look. Decides nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Counts of a watch, to be looked at while it works. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Stats(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    found: AtomicUsize,
    ignored: AtomicU64,
}

impl Stats {
    /// Relevant files that walks have come across so far: how far the first one is.
    #[must_use]
    pub fn files_found(&self) -> usize {
        self.0.found.load(Ordering::Relaxed)
    }

    /// EventSource that were no change: about paths that do not count, or with the same content as before.
    #[must_use]
    pub fn events_ignored(&self) -> u64 {
        self.0.ignored.load(Ordering::Relaxed)
    }

    pub(crate) fn add_files_found(&self, files: usize) {
        self.0.found.fetch_add(files, Ordering::Relaxed);
    }

    pub(crate) fn add_event_ignored(&self) {
        self.0.ignored.fetch_add(1, Ordering::Relaxed);
    }
}
