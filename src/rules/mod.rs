//! Which paths count: gitignore-style rules, decided as git decides, and explained line by line.
//!
//! Enters no other room. Everything `devrun check`, `explain` and `list` need is here.

mod error;
mod layer;
mod options;
mod path_key;
mod pattern;
mod rule_file;
mod verdict;
mod builtin;
mod git;
mod sources;
mod global;
mod dir;
#[allow(clippy::module_inception, reason = "the file holds the type that the module is named after")]
mod rules;
mod lint;

pub use error::Error;
pub use git::tracked_files;
pub use layer::Layer;
pub use lint::{
    Expectation, Finding, FindingId, LintOptions, LintReport, Location, Related, Scope, Severity, lint,
};
pub use options::{GitEnv, Options};
pub use pattern::{EntryKind, PatternErrorKind};
pub use rule_file::{Defect, DefectKind};
pub use rules::Rules;
pub(crate) use rules::Within;
pub use verdict::{Decision, Rule, Verdict};
