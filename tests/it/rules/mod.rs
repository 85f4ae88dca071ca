//! Ignore rules, on which devrun and git must agree.

/// The table of cases in `tests/cases/rules`.
mod cases;
/// `devrun explain`: text, JSON, streams, exit statuses.
#[cfg(feature = "cli")]
mod explain;
/// Random rules and trees, on which devrun and git must agree.
mod git_agreement;
/// Layers, nesting, repositories, live edits.
mod layers;
/// The rendered findings of `devrun check`.
#[cfg(feature = "cli")]
mod lint;
