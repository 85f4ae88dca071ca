//! The answer of the rules for one path, with the rule that decided.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::layer::Layer;

/// The answer for one path.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// Whether the path counts.
    pub decision: Decision,
    /// The rule that decided; `None` if no rule matched.
    pub by: Option<Arc<Rule>>,
    /// The ancestor directory that the rule excludes, absolute; `None` if the rule matched the path itself.
    pub parent: Option<PathBuf>,
}

impl Verdict {
    /// Whether the path is ignored.
    #[must_use]
    pub fn is_ignored(&self) -> bool {
        self.decision == Decision::Ignored
    }
}

/// Whether a path counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// The path does not count: it gets no watch and causes no restart.
    Ignored,
    /// The path counts.
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

/// The rule that decided.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rule {
    /// The rank of its source.
    pub layer: Layer,
    /// The rule file, absolute; `None` for [`Options::patterns`](super::Options::patterns) and the built-in
    /// table.
    pub source: Option<PathBuf>,
    /// The line, counted from 1. In [`Options::patterns`](super::Options::patterns), the number of the
    /// pattern.
    pub line: u32,
    /// The column of the pattern's first byte, counted from 1, in bytes.
    pub column: u32,
    /// The text as `git check-ignore -v` prints it: with `!` and a final `/`, without CR and trimmed spaces.
    pub pattern: Vec<u8>,
    /// Whether the rule takes paths back (`!`).
    pub negated: bool,
}

impl fmt::Display for Rule {
    /// Writes `/app/.watchignore:3 downloads/`, `option *.log` or `built-in *.pyc`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pattern = String::from_utf8_lossy(&self.pattern);
        match (&self.source, self.layer) {
            (Some(source), _) => write!(f, "{}:{} {pattern}", source.display(), self.line),
            (None, Layer::Patterns) => write!(f, "option {pattern}"),
            (None, _) => write!(f, "built-in {pattern}"),
        }
    }
}
