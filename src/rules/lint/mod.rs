//! Findings for `check`: what is wrong, doubtful or without effect in rule files. No output formats.

mod finding;
mod subsumption;
mod line_checks;
mod options;
mod effect_checks;
mod tree_walk;
mod lint;

pub use finding::{Finding, FindingId, Location, Related, Severity};
pub use lint::{LintReport, lint};
pub use options::{Expectation, LintOptions, Scope};
