//! The child process: started, restarted, stopped; nothing is left behind.

/// A process that embeds the library and is killed. Linux: only there a process that has left its group is found.
#[cfg(target_os = "linux")]
mod embedder;
/// Servers found by their sockets. Linux: `/proc` names a process's sockets.
#[cfg(target_os = "linux")]
mod found_sockets;
/// One start, one stop, one restart.
mod lifecycle;
/// The program is killed: no process survives. Linux, as for `embedder`.
#[cfg(all(target_os = "linux", feature = "cli"))]
mod no_survivor;
/// Processes that have left the group or the session. Linux, as for `embedder`.
#[cfg(target_os = "linux")]
mod process_tree;
/// Stale bytecode.
mod python_bytecode;
/// Sockets held by devrun and handed over; readiness.
mod sockets;
