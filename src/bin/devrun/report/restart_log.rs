//! The last restarts and their causes, for the key `w`.

use std::collections::VecDeque;
use std::time::Instant;

use super::human;
use super::record::Record;
use crate::ui::byte_string::ByteString;

/// Maximum number of restarts that are kept.
const MAX_RESTARTS: usize = 10;

#[derive(Debug)]
struct Restart {
    generation: u64,
    at: Instant,
    paths: Vec<ByteString>,
}

/// The last restarts, oldest first.
#[derive(Debug, Default)]
pub(super) struct RestartLog {
    restarts: VecDeque<Restart>,
}

impl RestartLog {
    /// Keeps the record if it is a restart.
    pub(super) fn add(&mut self, record: &Record, now: Instant) {
        if let Record::Restarting { generation, because } = record {
            if self.restarts.len() == MAX_RESTARTS {
                self.restarts.pop_front();
            }
            self.restarts.push_back(Restart { generation: *generation, at: now, paths: because.clone() });
        }
    }

    /// One sentence for each restart.
    pub(super) fn sentences(&self, now: Instant) -> Vec<String> {
        if self.restarts.is_empty() {
            return vec!["COMMAND has not been restarted".to_owned()];
        }
        let sentence = |restart: &Restart| {
            let ago = now.saturating_duration_since(restart.at);
            human::restart(restart.generation, ago, &restart.paths)
        };
        self.restarts.iter().map(sentence).collect()
    }
}
