//! Findings for `check`: what is wrong, doubtful or without effect in rule files. No output formats.

mod finding;
mod cover;
mod lines;
mod inspection;
mod effect;
mod survey;
mod report;

pub use finding::{Finding, FindingId, Place, Related, Severity};
pub use inspection::{Expectation, Inspection};
pub use report::{Report, lint};
