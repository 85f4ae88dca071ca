//! `devrun -- COMMAND`: restarts, output, signals, sockets.

/// Build steps: their order, a build next to a running server, and a build cancelled by a newer change.
#[cfg(unix)]
mod builds;
/// COMMAND, its directory and its variables, from every source of options.
mod command;
/// Environment files and the variables of COMMAND.
mod env_files;
/// Every event of the log has the documented keys.
mod log;
/// devrun's own output, which waits for no reader.
#[cfg(target_os = "linux")]
mod output;
/// Restart loops by files that the server writes.
#[cfg(target_os = "linux")]
mod restart_loops;
/// The changes that restart, exit statuses, messages.
mod restarts;
/// Signals to devrun in each phase of a run.
#[cfg(target_os = "linux")]
mod signals;
/// Thousands of restarts: memory, descriptors and threads stay as they were.
#[cfg(target_os = "linux")]
mod soak;
/// Sockets that devrun hands over, and its answers on them without a server: TCP, Unix, UDP, ports in use.
mod sockets;
/// Signals, typed commands and job control on a real terminal.
#[cfg(target_os = "linux")]
mod terminal;
