//! Ignore rules: devrun and git decide alike.

/// The table of cases in `tests/cases/rules`.
mod cases;
/// `devrun explain`: words, JSON, streams, exit statuses.
#[cfg(feature = "cli")]
mod explain;
/// Random rules and trees: devrun and git decide alike.
mod git_agreement;
/// Layers, nesting, repositories, live edits.
mod layers;
/// Each finding of `devrun check` as it is rendered.
#[cfg(feature = "cli")]
mod lint;
