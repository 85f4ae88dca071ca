//! The answers of the rules: the verdict for one path, the rule that decided, and bad lines.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::pattern::PatternErrorKind;

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
    /// tables. For a directory that devrun leaves out because of its content, the `CACHEDIR.TAG` of a cache or
    /// the `.git` file of a linked worktree, with its line as the pattern.
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

/// A line of a rule file that has no effect, or a file that cannot be read. The other lines still apply.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Defect {
    /// The file, absolute; `None` for [`Options::patterns`](super::Options::patterns).
    pub source: Option<PathBuf>,
    /// The line, counted from 1; 0 for the file as a whole.
    pub line: u32,
    /// The column, counted from 1, in bytes.
    pub column: u32,
    /// The text of the pattern.
    pub text: Vec<u8>,
    /// The reason why the line or file has no effect.
    pub kind: DefectKind,
}

/// The reason why a line or a file has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DefectKind {
    /// The pattern can never match.
    NeverMatches(PatternErrorKind),
    /// The file cannot be read; the text is the reason.
    Unreadable(String),
}

impl fmt::Display for DefectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverMatches(flaw) => write!(f, "this can never match: {}", flaw.as_str()),
            Self::Unreadable(reason) => write!(f, "cannot be read: {reason}"),
        }
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{}", source.display())?,
            None => f.write_str("pattern")?,
        }
        let text = String::from_utf8_lossy(&self.text);
        match &self.kind {
            DefectKind::NeverMatches(kind) => {
                write!(f, ":{}:{}: `{text}` never matches: {}", self.line, self.column, kind.as_str())
            }
            DefectKind::Unreadable(reason) => write!(f, ": cannot be read: {reason}"),
        }
    }
}
