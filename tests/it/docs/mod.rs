//! Checks the statements of README.md and docs/.

/// The code blocks and code spans of the pages.
#[cfg(feature = "cli")]
mod blocks;
/// The commands in the blocks and spans.
#[cfg(all(target_os = "linux", feature = "cli"))]
mod commands;
/// Every event of the JSON log is documented.
mod events;
/// Options and JSON keys of the pages exist.
#[cfg(feature = "cli")]
mod options_and_json;
/// The project in which the tests run the commands of the pages.
#[cfg(all(target_os = "linux", feature = "cli"))]
mod project;
/// Options, links and output of README.md.
#[cfg(feature = "cli")]
mod readme;
/// The pages of docs/reference, compared with the output of the program.
#[cfg(feature = "cli")]
pub(crate) mod reference;
/// Runs every command and configuration of the pages.
#[cfg(all(target_os = "linux", feature = "cli"))]
mod runs;
