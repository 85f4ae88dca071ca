//! What to watch and how: plain data.

use std::path::PathBuf;
use std::time::Duration;

use crate::rules;

use crate::watch::stats::Stats;

/// SyncMode changes are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Mode {
    /// EventSource where they work, scans elsewhere, decided per mount.
    #[default]
    Auto,
    /// The kernel's events, one watch per directory that counts.
    Event,
    /// Scans of the pruned tree.
    Stat,
}

impl Mode {
    /// Its name, as `--mode` takes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Event => "event",
            Self::Stat => "stat",
        }
    }
}

/// What proves a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Compare {
    /// The content (a fingerprint of it), up to [`Options::content_limit`].
    #[default]
    Content,
    /// Any difference of kind, size, times or inode.
    Stat,
}

/// What to watch and how.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// Directories and files, absolute or relative to `rules.base`. A root need not exist yet.
    pub roots: Vec<PathBuf>,
    /// Only these extensions, without the dot. Empty: all.
    pub extensions: Vec<String>,
    /// Only paths that match one of these globs (globset syntax), against the path relative to `rules.base`
    /// and, for a glob without `/`, its last component. Empty: all.
    pub filters: Vec<String>,
    /// Files that count whatever the rules and filters say: environment files, the configuration file.
    pub always: Vec<PathBuf>,
    /// Files that never count, absolute, whatever else is said of them: what the owner itself writes, its log for instance.
    pub never: Vec<PathBuf>,
    /// SyncMode changes are found.
    pub mode: Mode,
    /// Stat mode: the time between scans.
    pub poll_interval: Duration,
    /// The quiet time that ends a burst after a single change; it grows while changes keep coming. `None`:
    /// the default, tuned to a few milliseconds.
    pub debounce: Option<Duration>,
    /// What proves a change.
    pub compare: Compare,
    /// Files larger than this, in bytes, are compared by stat.
    pub content_limit: u64,
    /// Which paths count.
    pub rules: rules::Options,
    /// What is counted meanwhile; a clone kept by the owner shows it.
    pub stats: Stats,
}

impl Options {
    /// The defaults: the working directory of the rules, auto mode, content decides.
    #[must_use]
    pub fn new(rules: rules::Options) -> Self {
        Self {
            roots: vec![PathBuf::from(".")],
            extensions: Vec::new(),
            filters: Vec::new(),
            always: Vec::new(),
            never: Vec::new(),
            mode: Mode::Auto,
            poll_interval: Duration::from_secs(1),
            debounce: None,
            compare: Compare::Content,
            content_limit: 64 << 20,
            rules,
            stats: Stats::default(),
        }
    }
}
