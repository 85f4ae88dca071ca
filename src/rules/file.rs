//! One ignore file: its rules with line, column and raw text, and its defects.

use std::path::PathBuf;

/// What is wrong with a line. The other lines of the file still apply.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DefectKind {
    /// The pattern can never match: an unclosed set, an unknown class, a final backslash.
    NeverMatches,
    /// The file, or the directory it stands in, could not be read.
    Unreadable(String),
}

/// A bad line, as data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defect {
    /// The file, absolute; `None` for patterns given by hand.
    pub source: Option<PathBuf>,
    /// The line, counted from 1; 0 for the file as a whole.
    pub line: u32,
    /// The column, counted from 1, in bytes.
    pub column: u32,
    /// The raw line.
    pub text: Vec<u8>,
    /// What is wrong.
    pub kind: DefectKind,
}
