//! The last restarts and their causes, for the key `w`.

use std::collections::VecDeque;
use std::time::Instant;

use super::human;
use super::record::{Record, Restarting};

/// Maximum number of restarts that are kept.
const MAX_RESTARTS: usize = 10;

/// The last restarts with their times, oldest first.
#[derive(Debug, Default)]
pub(super) struct RestartLog(VecDeque<(Restarting, Instant)>);

impl RestartLog {
    /// Keeps the record if it is a restart.
    pub(super) fn add(&mut self, record: &Record, now: Instant) {
        if let Record::Restarting(restart) = record {
            if self.0.len() == MAX_RESTARTS {
                self.0.pop_front();
            }
            self.0.push_back((restart.clone(), now));
        }
    }

    /// One sentence for each restart.
    pub(super) fn sentences(&self, now: Instant) -> Vec<String> {
        if self.0.is_empty() {
            return vec!["COMMAND has not been restarted".to_owned()];
        }
        let sentence =
            |(restart, at): &(_, Instant)| human::restart(restart, now.saturating_duration_since(*at));
        self.0.iter().map(sentence).collect()
    }
}
