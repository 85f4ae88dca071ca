//! All integration tests, in one binary: a folder for each feature. See tests/README.md.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, clippy::print_stdout)]

mod support;

/// The public API is the listed one, and no signature names a type of another crate.
mod api;
/// The programs of `examples/` for embedders.
mod examples;
/// The library prints nothing, runs several sessions in one process, and leaves nothing behind when dropped.
mod library;
/// Module layers, files that print, and folders with unsafe code.
mod tidy;

/// The program's subcommands and its command line.
#[cfg(feature = "cli")]
mod cli;
/// The control socket: clients that ask and steer a running devrun.
#[cfg(feature = "control")]
mod control;
/// The statements of README.md and docs/.
mod docs;
/// The proxy: it forwards every byte, and no client notices a restart.
#[cfg(feature = "proxy")]
mod proxy;
/// Ignore rules, on which devrun and git must agree.
#[cfg(unix)]
mod rules;
/// `devrun -- COMMAND`: restarts, output, signals, sockets.
#[cfg(feature = "cli")]
mod run;
/// Real servers, started with the commands that their users type.
mod servers;
/// The use case that devrun was made for: downloads never restart the server, and clients never see a
/// restart.
mod story;
/// The child process: start, restart and stop leave no process behind.
mod supervise;
/// The watch: changes of real files, in event mode and in stat mode.
mod watch;
