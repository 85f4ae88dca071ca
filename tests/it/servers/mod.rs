//! Real servers, run as their users run them.

/// Servers that are compiled, by `cargo run` and `go run`.
#[cfg(feature = "cli")]
mod compiled;
/// What clients see over many restarts, broken edits and crashes.
#[cfg(feature = "cli")]
mod many_restarts;
/// Two generations of each server behind the proxy.
#[cfg(all(unix, feature = "proxy"))]
mod overlap;
/// The recipes of README.md and docs/sockets.md, each across an edit.
#[cfg(feature = "cli")]
mod recipes;
