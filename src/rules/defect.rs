//! Bad lines of rule files, as data.

use std::fmt;
use std::path::PathBuf;

use super::pattern::PatternErrorKind;

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
