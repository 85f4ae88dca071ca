//! The rank of a rule source.

use std::fmt;

/// The rank of a rule source: the highest layer with a match decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Layer {
    /// devrun's own table.
    Builtin,
    /// git's `core.excludesFile`.
    GitGlobal,
    /// `$GIT_DIR/info/exclude`.
    GitExclude,
    /// `.gitignore`, nested.
    Gitignore,
    /// `.watchdogignore`, nested: the name under which projects have such rules from before.
    Watchdogignore,
    /// `.watchignore` or another name of [`Options::file_names`](super::Options::file_names), nested, and
    /// [`Options::files`](super::Options::files).
    Watchignore,
    /// [`Options::patterns`](super::Options::patterns).
    Patterns,
}

impl Layer {
    /// The stable name of the layer in machine-readable output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Builtin => "builtin",
            Self::GitGlobal => "git-global",
            Self::GitExclude => "git-exclude",
            Self::Gitignore => "gitignore",
            Self::Watchdogignore => "watchdogignore",
            Self::Watchignore => "watchignore",
            Self::Patterns => "flag",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
