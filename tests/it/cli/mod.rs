//! The program's subcommands and its command line.

/// `devrun doctor` names what would go wrong, with the remedy.
mod doctor;
/// `devrun list` shows what a run would watch.
mod list;
/// Names that are not UTF-8.
#[cfg(target_os = "linux")]
mod odd_names;
/// Shells complete by the generated scripts, and the manual pages are well formed.
#[cfg(target_os = "linux")]
mod shells;
/// `-vv` and DEVRUN_LOG tell why something did or did not restart.
mod trace;
/// Shell transcripts: one clear error for each bad input, help that fits a screen.
mod transcripts;
