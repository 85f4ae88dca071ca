//! Tests of the control socket.

/// Clients that break the rules: floods, long lines, half lines, other users.
mod hostile;
/// The program's subcommands: `ps`, `logs`, `why`, `wait` and others.
#[cfg(feature = "cli")]
mod subcommands;
/// The library's server and client.
mod types;
/// The Model Context Protocol on standard input and output.
#[cfg(feature = "cli")]
mod mcp;
