//! Which paths make the most hints: pure counting, bounded.

use std::path::{Path, PathBuf};

use crate::watch::fs::paths::PathMap;

/// More paths than this are not counted apart.
const MOST: usize = 4096;

/// Hints per path.
#[derive(Debug, Default)]
pub(crate) struct EventCounts {
    counts: PathMap<u64>,
}

impl EventCounts {
    /// A hint for a path came.
    pub(crate) fn count(&mut self, path: &Path) {
        if let Some(count) = self.counts.get_mut(path.as_os_str()) {
            *count += 1;
            return;
        }
        if self.counts.len() >= MOST {
            self.thin();
        }
        self.counts.insert(path.into(), 1);
    }

    /// The paths with the most, most first, then by path.
    pub(crate) fn most(&self, most: usize) -> Vec<(PathBuf, u64)> {
        let mut all: Vec<(PathBuf, u64)> =
            self.counts.iter().map(|(path, count)| (path.into(), *count)).collect();
        all.sort_unstable_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        all.truncate(most);
        all
    }

    /// Forgets the rarer half, so that what comes again and again is kept.
    fn thin(&mut self) {
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
    fn the_noisy_stay_however_many_others_come() {
        let mut hot = EventCounts::default();
        for number in 0..3 * MOST {
            hot.count(format!("/{number}").as_ref());
            hot.count("/log".as_ref());
        }
        assert_eq!(hot.most(1), [("/log".into(), 3 * MOST as u64)]);
        assert!(hot.counts.len() <= MOST);
    }
}
