//! The child process: start, restart and stop leave no process behind.

/// Servers that cannot run twice. Linux, as for `found_sockets`.
#[cfg(target_os = "linux")]
mod conflicts;
/// An embedding process that is killed. Linux, because only Linux finds a process that has left its group.
#[cfg(target_os = "linux")]
mod embedder;
/// Servers found by their sockets. Linux, because `/proc` names the sockets of a process.
#[cfg(target_os = "linux")]
mod found_sockets;
/// One start, one stop, one restart.
mod lifecycle;
/// A killed devrun leaves no process. Linux, as for `embedder`.
#[cfg(all(target_os = "linux", feature = "cli"))]
mod no_survivor;
/// Processes that have left the group or the session. Linux, as for `embedder`.
#[cfg(target_os = "linux")]
mod process_tree;
/// Stale bytecode.
mod python_bytecode;
/// Answers to what became of a change; halts.
mod settle;
/// Sockets that devrun holds and hands over; readiness.
mod sockets;
