//! What README.md and docs/ say holds.

/// The code blocks and the words between backquotes of the pages.
#[cfg(feature = "cli")]
mod blocks;
/// The commands among them.
#[cfg(all(target_os = "linux", feature = "cli"))]
mod commands;
/// Every event of the JSON log is documented.
mod events;
/// Options and JSON keys of the pages exist.
#[cfg(feature = "cli")]
mod options_and_json;
/// The project in which the commands of the pages are run.
#[cfg(all(target_os = "linux", feature = "cli"))]
mod project;
/// Options, links and output of README.md.
#[cfg(feature = "cli")]
mod readme;
/// The pages of docs/reference are what the program generates.
#[cfg(feature = "cli")]
pub(crate) mod reference;
/// Every command and configuration of the pages is run.
#[cfg(all(target_os = "linux", feature = "cli"))]
mod runs;
