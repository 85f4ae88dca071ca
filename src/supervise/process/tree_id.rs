//! The identity of a process tree, and the variable that each of its processes inherits.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

#[cfg(target_os = "linux")]
use crate::supervise::sys::procfs::Process;

/// Environment variable that every process of a tree inherits: `SUPERVISOR-TREE`.
pub(crate) const TAG_VARIABLE: &str = "DEVRUN_SESSION";

/// Number of a process tree: all processes that come from one start, of a generation or of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct TreeId(u64);

impl TreeId {
    /// The tree after this one.
    pub(crate) const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Value of [`TAG_VARIABLE`] for the processes of this tree.
    pub(crate) fn tag(self, supervisor: &str) -> String {
        format!("{supervisor}-{self}")
    }
}

impl fmt::Display for TreeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for TreeId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(Self)
    }
}

/// What the environment of a process says about its tree.
#[cfg(target_os = "linux")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    /// The tree belongs to the supervisor that asked.
    Own(TreeId),
    /// The process belongs to another supervisor.
    Foreign,
    /// The process carries no tag, or its environment cannot be read.
    None,
}

#[cfg(target_os = "linux")]
impl Tag {
    /// Reads the tag of a process for a supervisor.
    pub(super) fn read(process: &Process, supervisor: &str) -> Self {
        let Some(environment) = process.environment() else { return Self::None };
        let mut entries = environment.split(|byte| *byte == 0);
        let tag = entries.find_map(|entry| entry.strip_prefix(TAG_VARIABLE.as_bytes())?.strip_prefix(b"="));
        let Some(tag) = tag else { return Self::None };
        let number = std::str::from_utf8(tag).ok().and_then(|tag| tag.strip_prefix(supervisor));
        let tree = number.and_then(|number| number.strip_prefix('-')?.parse().ok());
        tree.map_or(Self::Foreign, Self::Own)
    }
}
