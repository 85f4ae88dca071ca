//! The options of a session.

use std::path::PathBuf;

use crate::supervise::{self, Command};
use crate::{rules, watch};

/// The options of a session.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The options of the watch.
    pub watch: watch::Options,
    /// Whether anything is watched. `false`: the session only supervises.
    pub watch_enabled: bool,
    /// Files whose changes are reported but restart nothing, such as a configuration file of the owner. They are watched
    /// even if a rule ignores them. Relative paths are relative to `watch.rules.base`.
    pub observe_only: Vec<PathBuf>,
    /// What runs.
    pub supervise: supervise::Options,
    /// The port that clients connect to. `None`: clients connect to the command directly.
    #[cfg(feature = "proxy")]
    pub proxy: Option<crate::proxy::Options>,
}

impl Options {
    /// The defaults for a command: the current directory is watched in auto mode, and there is no proxy.
    #[must_use]
    pub fn new(command: Command) -> Self {
        Self {
            watch: watch::Options::new(rules::Options::new(".")),
            watch_enabled: true,
            observe_only: Vec::new(),
            supervise: supervise::Options::new(command),
            #[cfg(feature = "proxy")]
            proxy: None,
        }
    }
}
