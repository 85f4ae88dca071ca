//! Checks rule files for lines that are wrong, doubtful or without effect. Formats no output.

mod lint;
mod options;
mod finding;
mod line_checks;
mod redundancy;
mod subsumption;
mod effect_checks;
mod tree_walk;
mod unused_rules;

pub use finding::{Finding, FindingId, Location, Related, Severity};
pub use lint::{LintReport, lint};
pub use options::{Expectation, LintOptions, Scope};
