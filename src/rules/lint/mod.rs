//! Checks rule files for lines that are wrong, doubtful or without effect. Formats no output.

#[allow(clippy::module_inception, reason = "the file holds the function that the module is named after")]
mod lint;
mod finding;
mod line_checks;
mod redundancy;
mod effect_checks;
mod tree;
mod allow;

pub use finding::{Finding, FindingId, Location, Related, Severity};
pub use lint::{CheckedFiles, Expectation, LintOptions, LintReport, Scope, lint};
