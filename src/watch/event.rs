//! The events of a watch.

use std::path::PathBuf;
use std::time::Duration;

use super::stats::{RootReport, Summary};
use crate::{Remedy, SyncId, change::Batch, rules::Defect};

/// An event of a watch.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// Relevant files have changed, which their content or existence proves. One event per burst.
    Changed(Batch),
    /// Rule files were edited, and the new rules are in effect.
    RulesReloaded {
        /// The rule files that changed, absolute.
        files: Vec<PathBuf>,
        /// The invalid lines of all rule files.
        defects: Vec<Defect>,
        /// The files and directories that are watched now.
        summary: Summary,
    },
    /// A root, or a part of one, is watched in another way from now on.
    ModeChanged(RootReport),
    /// A burst is held back while git works. Sent once per hold.
    WaitingForGit {
        /// The lock file or directory of the git operation.
        marker: PathBuf,
    },
    /// Events were lost, so everything was compared with the snapshot. No change is lost.
    Rescanned {
        /// Number of files compared.
        files: usize,
        /// Duration of the comparison.
        took: Duration,
    },
    /// The answer to [`super::Handle::sync`]: everything that was written before it has been reported.
    Synced(SyncId),
    /// A condition that needs the developer's attention.
    Warning {
        /// The condition, in one sentence.
        message: String,
        /// What the developer can do about it.
        remedy: Remedy,
    },
}
