//! The rank of an ignore source.

use std::fmt;

/// An ignore source's rank: a greater layer decides before a lesser one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Layer {
    /// devrun's own table.
    Builtin,
    /// `core.excludesFile`.
    GitGlobal,
    /// `$GIT_DIR/info/exclude`.
    GitExclude,
    /// `.gitignore`, nested.
    Gitignore,
    /// `.watchignore` (or the name given by `--ignore-file`), nested.
    Watchignore,
    /// Patterns given by hand (`-i`).
    Patterns,
}

impl Layer {
    /// Its name in `explain --format json`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Builtin => "builtin",
            Self::GitGlobal => "git-global",
            Self::GitExclude => "git-exclude",
            Self::Gitignore => "gitignore",
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
