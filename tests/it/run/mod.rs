//! `devrun -- COMMAND`: restarts, output, signals, sockets.

/// Build steps: in order, beside the running server, cancelled by newer changes.
#[cfg(unix)]
mod builds;
/// COMMAND, its directory and its variables, from every source of options.
mod command;
/// Environment files.
mod env_files;
/// Every event of the log has the documented keys.
mod log;
/// What devrun writes, and that it waits for no reader.
#[cfg(target_os = "linux")]
mod output;
/// Files that the server itself writes.
#[cfg(target_os = "linux")]
mod restart_loops;
/// Which changes restart, exit statuses, messages.
mod restarts;
/// Signals to devrun at each moment.
#[cfg(target_os = "linux")]
mod signals;
/// Thousands of restarts: memory, descriptors and threads stay as they were.
#[cfg(target_os = "linux")]
mod soak;
/// Sockets handed over, answered on without a server, Unix and UDP, ports that are taken.
mod sockets;
/// Signals, keys and job control on a real terminal.
#[cfg(target_os = "linux")]
mod terminal;
