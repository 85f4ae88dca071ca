//! Findings for `check`: what is wrong, doubtful or without effect in rule files. No output formats.

mod finding;
mod subsumption;
mod line_checks;
mod options;
mod effect_checks;
mod tree_walk;
mod lint;

pub use finding::{Finding, FindingId, Place, Related, Severity};
pub use lint::{Report, lint};
pub use options::{Expectation, Inspection};
