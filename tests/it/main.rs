//! All integration tests, in one binary: a folder for each feature. See tests/README.md.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, clippy::print_stdout)]

mod support;

/// The public API is the listed one, and names no type of another crate.
mod api;
/// The programs of `examples/` for embedders.
mod examples;
/// The library is silent, runs several sessions in one process, and leaves nothing behind when dropped.
mod library;
/// Which module may import which, who prints, and where unsafe code stands.
mod tidy;

/// The program's subcommands and its command line.
#[cfg(feature = "cli")]
mod cli;
/// What README.md and docs/ say holds.
mod docs;
/// The proxy: every byte passes, and no client sees a restart.
#[cfg(feature = "proxy")]
mod proxy;
/// Ignore rules: devrun and git decide alike.
#[cfg(unix)]
mod rules;
/// `devrun -- COMMAND`: restarts, output, signals, sockets.
#[cfg(feature = "cli")]
mod run;
/// Real servers, run as their users run them.
mod servers;
/// The story: downloads never restart the server, and clients never see a restart.
mod story;
/// The child process: started, restarted, stopped; nothing is left behind.
mod supervise;
/// Which changes happened: real files, in event mode and in stat mode.
mod watch;
