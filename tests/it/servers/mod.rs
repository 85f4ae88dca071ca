//! Real servers, started with the commands that their users type.

/// Compiled servers, started by `cargo run` and `go run`.
#[cfg(feature = "cli")]
mod compiled;
/// Clients over many restarts, broken edits and crashes.
#[cfg(feature = "cli")]
mod many_restarts;
/// Two generations of each server behind the proxy.
#[cfg(all(unix, feature = "proxy"))]
mod overlap;
/// The recipes of README.md and docs/sockets.md, each across an edit.
#[cfg(feature = "cli")]
mod recipes;
