//! The restarts of a run, with reason and outcome.

use std::collections::VecDeque;
use std::time::Instant;

use crate::ui::time;

/// Maximum number of restarts that are kept.
const MAX_RESTARTS: usize = 10;

/// The last restarts, and the numbers of all.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    /// Oldest first.
    last: VecDeque<Restart>,
    total: u64,
    failed: u64,
}

#[derive(Debug)]
struct Restart {
    due_at: Instant,
    generation: u64,
    cause: String,
    /// How the generation went on; empty until it is ready or ends.
    outcome: String,
    has_failed: bool,
}

impl Restarts {
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed
    }

    /// A generation is due. If it is due already, changes were added to its cause. After a failed build the same
    /// number is used again.
    pub(super) fn begin(&mut self, generation: u64, cause: String, now: Instant) {
        let is_new = |known: &Restart| known.generation != generation || !known.outcome.is_empty();
        if self.last.back().is_none_or(is_new) {
            self.total += u64::from(generation > 1);
        } else {
            self.last.pop_back();
        }
        self.last.push_back(Restart {
            due_at: now,
            generation,
            cause,
            outcome: String::new(),
            has_failed: false,
        });
        let surplus = self.last.len().saturating_sub(MAX_RESTARTS);
        self.last.drain(..surplus);
    }

    /// A generation is ready, or has ended.
    pub(super) fn outcome(&mut self, generation: u64, outcome: &str, is_failure: bool) {
        let Some(restart) = self.last.iter_mut().rfind(|restart| restart.generation == generation) else {
            return;
        };
        let separator = if restart.outcome.is_empty() { "" } else { ", " };
        restart.outcome = format!("{}{separator}{outcome}", restart.outcome);
        self.failed += u64::from(is_failure && generation > 1 && !restart.has_failed);
        restart.has_failed |= is_failure;
    }

    /// One sentence for each of the last restarts: `2.0 s ago: generation 2, app.py: ready in 140 ms`.
    pub(super) fn sentences(&self, now: Instant) -> Vec<String> {
        let sentence = |restart: &Restart| {
            let Restart { due_at, generation, cause, outcome, .. } = restart;
            let ago = time(now.saturating_duration_since(*due_at));
            let outcome = if outcome.is_empty() { "in progress" } else { outcome };
            format!("{ago} ago: generation {generation}, {cause}: {outcome}")
        };
        self.last.iter().map(sentence).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_restart_has_its_reason_and_outcome_and_failures_are_counted_once() {
        let (mut restarts, now) = (Restarts::default(), Instant::now());
        // With --postpone the first start has a cause too. It is no restart.
        restarts.begin(1, "a.py".to_owned(), now);
        restarts.outcome(1, "ready in 9 ms", false);
        restarts.begin(2, "a.py".to_owned(), now);
        restarts.begin(2, "a.py and b.py".to_owned(), now);
        restarts.outcome(2, "the build failed", true);
        restarts.begin(2, "b.py".to_owned(), now);
        restarts.outcome(2, "started in 7 ms", false);
        restarts.outcome(2, "exited with status 1", true);
        restarts.outcome(2, "was killed", true);
        restarts.begin(3, "c.py".to_owned(), now);
        assert_eq!((restarts.total(), restarts.failed()), (3, 2));
        let expected = [
            "generation 1, a.py: ready in 9 ms",
            "generation 2, a.py and b.py: the build failed",
            "generation 2, b.py: started in 7 ms, exited with status 1, was killed",
            "generation 3, c.py: in progress",
        ];
        assert_eq!(restarts.sentences(now), expected.map(|sentence| format!("0.0 ms ago: {sentence}")));
    }
}
