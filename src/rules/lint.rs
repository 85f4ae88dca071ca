//! Findings for `check`: what is wrong, doubtful or without effect in rule files. No output formats.

use std::path::PathBuf;

use super::stack::Rules;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Probably not what was meant.
    Warning,
    /// Certainly wrong.
    Error,
}

/// The stable name of a kind of finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FindingId {
    /// The pattern can never match.
    InvalidPattern,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What kind.
    pub id: FindingId,
    /// How bad.
    pub severity: Severity,
    /// The file, absolute; `None` for patterns given by hand.
    pub file: Option<PathBuf>,
    /// The line, counted from 1.
    pub line: u32,
    /// The column, counted from 1, in bytes.
    pub column: u32,
    /// What is wrong, one sentence.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

/// Lints the rules.
#[must_use]
pub fn lint(rules: &Rules) -> Vec<Finding> {
    let _ = rules;
    Vec::new()
}
