//! Counters of a watch: for display only, nothing depends on them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::fs::PathMap;

/// Maximum number of paths with a counter of their own.
const MAX_COUNTED_PATHS: usize = 4096;

/// Counters of a watch, readable while it works. Clones share the counters.
#[derive(Debug, Clone, Default)]
pub struct Stats(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    files_found: AtomicUsize,
    events_ignored: AtomicU64,
}

impl Stats {
    /// Number of relevant files that walks have found so far. Shows the progress of the first walk.
    #[must_use]
    pub fn files_found(&self) -> usize {
        self.0.files_found.load(Ordering::Relaxed)
    }

    /// Number of events without a change: on ignored paths, or with the same content as before.
    #[must_use]
    pub fn events_ignored(&self) -> u64 {
        self.0.events_ignored.load(Ordering::Relaxed)
    }

    pub(crate) fn add_files_found(&self, files: usize) {
        self.0.files_found.fetch_add(files, Ordering::Relaxed);
    }

    pub(crate) fn add_event_ignored(&self) {
        self.0.events_ignored.fetch_add(1, Ordering::Relaxed);
    }
}

/// Events per path, for a bounded number of paths.
#[derive(Debug, Default)]
pub(crate) struct EventCounts {
    counts: PathMap<u64>,
}

impl EventCounts {
    /// Counts an event for a path.
    pub(crate) fn add(&mut self, path: &Path) {
        if let Some(count) = self.counts.get_mut(path.as_os_str()) {
            *count += 1;
            return;
        }
        if self.counts.len() >= MAX_COUNTED_PATHS {
            self.drop_lower_half();
        }
        self.counts.insert(path.into(), 1);
    }

    /// The `limit` paths with the most events, most first, then by path.
    pub(crate) fn busiest(&self, limit: usize) -> Vec<(PathBuf, u64)> {
        let mut all: Vec<(PathBuf, u64)> =
            self.counts.iter().map(|(path, count)| (path.into(), *count)).collect();
        all.sort_unstable_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        all.truncate(limit);
        all
    }

    /// Drops the paths with the fewest events, so that busy paths keep their counters.
    fn drop_lower_half(&mut self) {
        let mut counts: Vec<_> = self.counts.values().copied().collect();
        let middle = counts.len() / 2;
        let (_, median, _) = counts.select_nth_unstable(middle);
        let median = *median;
        self.counts.retain(|_, count| *count > median);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_path_keeps_its_counter_among_many_others() {
        let mut counts = EventCounts::default();
        for number in 0..3 * MAX_COUNTED_PATHS {
            counts.add(format!("/{number}").as_ref());
            counts.add("/log".as_ref());
        }
        assert_eq!(counts.busiest(1), [("/log".into(), 3 * MAX_COUNTED_PATHS as u64)]);
        assert!(counts.counts.len() <= MAX_COUNTED_PATHS);
    }
}
