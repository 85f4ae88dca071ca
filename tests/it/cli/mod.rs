//! Subcommands and the command line of the program.

/// `devrun doctor` names each problem of a later run with its remedy.
mod doctor;
/// A reloader inside COMMAND is named.
mod inner_reloaders;
/// `devrun list` shows the files that a run would watch.
mod list;
/// Names that are not UTF-8.
#[cfg(target_os = "linux")]
mod odd_names;
/// The packages of `packaging/build` can be installed.
#[cfg(target_os = "linux")]
mod packages;
/// The generated scripts complete in each shell, and the manual pages are well formed.
#[cfg(target_os = "linux")]
mod shells;
/// `-vv` and DEVRUN_LOG explain each restart and each ignored change.
mod trace;
/// Shell transcripts: one clear error for each bad input, and a short help that fits a screen.
mod transcripts;
