//! The watch: changes of real files, in event mode and in stat mode.

/// One burst, one batch: saves of editors, formatters, checkouts; unusual names and links.
mod bursts;
/// Single changes of files, directories and links.
mod changes;
/// Files that are still being written.
mod in_progress;
/// Overflows and exhausted limits. Linux, because these are limits of inotify.
#[cfg(target_os = "linux")]
mod limits;
/// Roots and named files that are symbolic links.
mod links;
/// Random histories: at the end the snapshot equals the tree.
mod random;
/// Roots that come, go and are replaced.
mod roots;
/// Rule files edited while the watch runs.
mod rule_files;
/// A watch that is brought up to date before it answers.
mod sync;
