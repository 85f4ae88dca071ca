//! What the watch room tells its owner.

use std::path::PathBuf;
use std::time::Duration;

use crate::change::Batch;
use crate::rules::Defect;

use crate::watch::options::Mode;

/// What the watch room tells its owner.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// Relevant content has changed: one burst, proven.
    Changed(Batch),
    /// Rule files were edited: what is watched follows at once.
    RulesReloaded {
        /// The rule files that changed, absolute.
        files: Vec<PathBuf>,
        /// Bad lines, now, in all rule files.
        defects: Vec<Defect>,
        /// What is watched now.
        summary: Summary,
    },
    /// A root (or a part of it) is watched in another way from now on.
    ModeChanged(RootReport),
    /// A burst is held back while git is at work (`.git/index.lock`, a rebase, a merge): said once.
    WaitingForGit {
        /// The file that says so.
        marker: PathBuf,
    },
    /// The kernel's queue overflowed or watches were lost: everything was compared again, nothing is lost.
    Rescanned {
        /// Files compared.
        files: usize,
        /// SyncMode long it took.
        took: Duration,
    },
    /// Something the developer should know: one sentence, and the remedy.
    Warning {
        /// What is the matter.
        message: String,
        /// What to do about it; may be empty.
        remedy: String,
    },
}

/// Why a root is watched the way it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// Asked for.
    Asked,
    /// A local file system: events work.
    Local,
    /// A network or shared file system, by its name: no events come.
    NoEvents(String),
    /// The kernel's limit of watches or instances is used up.
    Limit(String),
    /// It may not be read: nothing in it is known, and it is looked at again from time to time.
    Unreadable,
    /// It does not exist (yet).
    Missing,
}

/// SyncMode one root, or one part of it, is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RootReport {
    /// The root, or the directory below it where the way changes, absolute.
    pub path: PathBuf,
    /// [`Mode::Event`] or [`Mode::Stat`], never auto.
    pub mode: Mode,
    /// Why.
    pub why: Why,
    /// Relevant files.
    pub files: usize,
    /// Directories that count.
    pub directories: usize,
}

/// What is watched.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Summary {
    /// Relevant files.
    pub files: usize,
    /// Directories that count.
    pub directories: usize,
    /// Kernel watches in use by this watch.
    pub watches: usize,
    /// SyncMode each root is watched.
    pub roots: Vec<RootReport>,
}
