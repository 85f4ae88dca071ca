//! Which paths count: gitignore-style rules, decided as git decides, and explained line by line.
//!
//! Enters no other room. Everything `devrun check`, `explain` and `list` need is here.

mod error;
mod layer;
mod options;
mod key;
mod flaw;
mod set;
mod token;
mod glob;
mod pattern;
mod index;
mod file;
mod verdict;
mod builtin;
mod git;
mod sources;
mod fixed;
mod dir;
mod stack;
mod lint;

pub use error::Error;
pub use file::{Defect, DefectKind};
pub use flaw::Flaw;
pub use git::tracked_files;
pub use layer::Layer;
pub use lint::{Expectation, Finding, FindingId, Inspection, Place, Related, Report, Severity, lint};
pub use options::{GitEnv, Options};
pub use stack::Rules;
pub(crate) use stack::Within;
pub use verdict::{Decision, Rule, Verdict};
