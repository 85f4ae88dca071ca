//! Real servers, started with the commands that their users type.

/// Compiled servers, started by `cargo run` and `go run`.
#[cfg(feature = "cli")]
mod compiled;
/// Debuggers that hold a port of their own.
#[cfg(feature = "cli")]
mod debuggers;
/// Clients over many restarts, broken edits and crashes.
#[cfg(feature = "cli")]
mod many_restarts;
/// New projects of each kind, after `devrun init`.
#[cfg(feature = "cli")]
mod init;
/// Express, Vite and Next.js.
#[cfg(feature = "cli")]
mod node_servers;
/// Two generations of each server behind the proxy.
#[cfg(all(unix, feature = "proxy"))]
mod overlap;
/// Python servers beyond their recipes: gunicorn's workers, wrappers, reloaders, task queues.
#[cfg(feature = "cli")]
mod python_servers;
/// The recipes of README.md and docs/sockets.md, each across an edit.
#[cfg(feature = "cli")]
mod recipes;
/// A real server under devrun.
#[cfg(feature = "cli")]
mod served;
/// Streamed answers and messages across an edit.
#[cfg(feature = "cli")]
mod streams;
/// A WebSocket client.
#[cfg(feature = "cli")]
mod websocket;
