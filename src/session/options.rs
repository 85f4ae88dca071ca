//! A whole session: what to watch, what to run, what clients see.

use std::path::PathBuf;

use crate::supervise::{self, Command};
use crate::{rules, watch};

/// A whole session.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// What to watch.
    pub watch: watch::Options,
    /// Whether anything is watched at all; otherwise devrun only supervises.
    pub watching: bool,
    /// Files that are watched along whatever the rules say, whose changes are told and restart nothing: the owner
    /// decides what they mean. A configuration file, for instance.
    pub told_only: Vec<PathBuf>,
    /// What to run.
    pub supervise: supervise::Options,
    /// What clients see; `None`: they talk to the child directly.
    #[cfg(feature = "proxy")]
    pub proxy: Option<crate::proxy::Options>,
}

impl Options {
    /// The defaults for a command: the current directory is watched in auto mode, there is no proxy.
    #[must_use]
    pub fn new(command: Command) -> Self {
        Self {
            watch: watch::Options::new(rules::Options::new(".")),
            watching: true,
            told_only: Vec::new(),
            supervise: supervise::Options::new(command),
            #[cfg(feature = "proxy")]
            proxy: None,
        }
    }
}
