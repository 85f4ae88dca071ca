//! What to watch and how: plain data.

use std::path::PathBuf;
use std::time::Duration;

use super::stats::Stats;
use crate::rules;

/// How changes are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Mode {
    /// Kernel events where they work, scans elsewhere. Decided per mount.
    #[default]
    Auto,
    /// Kernel events, with one watch per directory that counts.
    Event,
    /// Scans of every directory that counts.
    Stat,
}

impl Mode {
    /// The mode's name: `auto`, `event` or `stat`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Event => "event",
            Self::Stat => "stat",
        }
    }
}

/// What proves that a file has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Compare {
    /// A fingerprint of the content, up to [`Options::content_limit`].
    #[default]
    Content,
    /// Any difference of kind, size, times or inode.
    Stat,
}

/// What happens if a root does not exist when a watch starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum MissingRoots {
    /// The start fails with [`Error::Root`](super::Error::Root).
    #[default]
    Refuse,
    /// The watch waits for the root. Its creation is a change.
    Await,
}

/// What to watch and how.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// Directories and files, absolute or relative to `rules.base`.
    pub roots: Vec<PathBuf>,
    /// What happens if a root does not exist at the start.
    pub missing_roots: MissingRoots,
    /// Only files with one of these extensions, written without the dot. Empty: all files.
    pub extensions: Vec<String>,
    /// Only files that match one of these globs (globset syntax). A glob is matched against the path relative
    /// to `rules.base`; one without `/` against the last component too. Empty: all files.
    pub filters: Vec<String>,
    /// Files that count even if a rule or a filter leaves them out, such as environment files.
    pub always: Vec<PathBuf>,
    /// Absolute paths of files that never count, such as a log that the program writes itself. Overrides
    /// `always`.
    pub never: Vec<PathBuf>,
    /// How changes are found.
    pub mode: Mode,
    /// Time between two scans of polled directories.
    pub poll_interval: Duration,
    /// Quiet time after which a burst of a single change ends. It grows while further changes arrive. `None`:
    /// the default of a few milliseconds.
    pub debounce: Option<Duration>,
    /// What proves that a file has changed.
    pub compare: Compare,
    /// Maximum size in bytes of files that are compared by content. Larger ones are compared by stat.
    pub content_limit: u64,
    /// The ignore rules.
    pub rules: rules::Options,
    /// Counters that the watch updates. Keep a clone to read them.
    pub stats: Stats,
}

impl Options {
    /// The defaults: auto mode, comparison by content, and the base directory of the rules as the only root.
    #[must_use]
    pub fn new(rules: rules::Options) -> Self {
        Self {
            roots: vec![PathBuf::from(".")],
            missing_roots: MissingRoots::default(),
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
