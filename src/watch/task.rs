//! Watch: the one loop of the room. Runs on a thread of its own, since walking and reading block.

use std::path::Path;

use crate::rules::Rules;

use super::error::Error;
use super::event::{Event, Summary};
use super::options::Options;

/// A running watch. Dropping it ends it.
#[derive(Debug)]
pub struct Watch {
    rules: Rules,
}

/// Tells a running watch what it cannot see itself. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Control {}

impl Control {
    /// A generation of the child has just been started: changes that arrive right after it are gathered for
    /// longer, so that a slow formatter costs a few restarts and not one per file.
    pub fn child_started(&self) {}

    /// Compare everything with the snapshot now, as after a queue overflow.
    pub fn rescan(&self) {}
}

impl Watch {
    /// Starts watching. When it returns, the watches are in place and the snapshot is taken: a change made
    /// from now on is seen.
    ///
    /// # Errors
    /// [`Error`] if the rules, a filter or a root cannot be used at all.
    pub async fn start(options: Options) -> Result<Self, Error> {
        Ok(Self { rules: Rules::new(options.rules)? })
    }

    /// What is watched, now.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary::default()
    }

    /// The rules it goes by.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// A handle to tell it things.
    #[must_use]
    pub fn control(&self) -> Control {
        Control {}
    }

    /// Waits for the next event; `None` once the watch has ended. Cancel-safe.
    pub async fn next_event(&mut self) -> Option<Event> {
        std::future::pending().await
    }

    /// The paths with the most hints since the start, most first, with their count and whether they are
    /// relevant: to find what to ignore.
    #[must_use]
    pub fn hot(&self, most: usize) -> Vec<(std::path::PathBuf, u64)> {
        let _ = most;
        Vec::new()
    }

    /// Whether a path is in the snapshot: it exists and counts.
    #[must_use]
    pub fn knows(&self, path: &Path) -> bool {
        let _ = path;
        false
    }

    /// Ends it; returns once its threads have ended.
    pub async fn stop(self) {}
}
