//! Decides which paths count, by gitignore-style rules, exactly as git decides, and names the deciding rule.
//!
//! [`Rules`] answers for a path. [`lint`](lint()) checks the rule files themselves.

#[allow(clippy::module_inception, reason = "the file holds the type that the module is named after")]
mod rules;
mod options;
mod verdict;
mod lint;
mod dir_rules;
mod sources;
mod rule_file;
mod content;
mod git;
mod pattern;
mod path_key;

pub use git::{GitEnv, tracked_files};
pub use lint::{
    CheckedFiles, Expectation, Finding, FindingId, LintOptions, LintReport, Location, Related, Scope,
    Severity, lint,
};
pub use options::{Error, Options};
pub use pattern::{EntryKind, PatternErrorKind};
pub(crate) use rules::DirMatcher;
pub use rules::Rules;
pub use verdict::{Decision, Defect, DefectKind, Layer, Rule, Verdict};
