//! What the rules say of a path, and which line says it: what `explain` prints.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::layer::Layer;

/// Whether a path counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// It does not count: no watch, no wakeup, no restart.
    Ignored,
    /// It counts.
    Watched,
}

impl Decision {
    /// `ignored` or `watched`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ignored => "ignored",
            Self::Watched => "watched",
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The one rule that decided.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rule {
    /// The rank of its source.
    pub layer: Layer,
    /// The file it stands in, absolute; `None` for patterns given by hand and for the built-in table.
    pub source: Option<PathBuf>,
    /// The line, counted from 1; for patterns given by hand their number, for the built-in table its entry.
    pub line: u32,
    /// The column of the pattern's first byte, counted from 1, in bytes.
    pub column: u32,
    /// The text as `git check-ignore -v` prints it: with `!` and a final `/`, without CR and trimmed blanks.
    pub pattern: Vec<u8>,
    /// Whether it re-includes (`!`).
    pub negated: bool,
}

impl fmt::Display for Rule {
    /// `/app/.watchignore:3 downloads/`, `-i *.log`, `built-in *.pyc`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pattern = String::from_utf8_lossy(&self.pattern);
        match (&self.source, self.layer) {
            (Some(source), _) => write!(f, "{}:{} {pattern}", source.display(), self.line),
            (None, Layer::Patterns) => write!(f, "-i {pattern}"),
            (None, _) => write!(f, "built-in {pattern}"),
        }
    }
}

/// The answer for one path.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// Whether the path counts.
    pub decision: Decision,
    /// The rule that decided; `None` if none matched.
    pub by: Option<Arc<Rule>>,
    /// The ancestor whose exclusion decided for the path below it, absolute; `None` if the rule matched the path itself.
    pub parent: Option<PathBuf>,
}

impl Verdict {
    /// Whether the path is ignored.
    #[must_use]
    pub fn is_ignored(&self) -> bool {
        self.decision == Decision::Ignored
    }
}
