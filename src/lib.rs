//! devrun: a development-server supervisor as a library.
//!
//! It watches source paths, filters what happens through gitignore-style rules, restarts a child
//! server for relevant changes only, and holds the port that clients see meanwhile.
//!
//! The modules in reading order; each uses only what stands above it:
//!
//! - [`change`]: the currency of the house: a proven change, a batch of them;
//! - [`rules`]: which paths count, exactly as git would decide, and why;
//! - [`watch`]: which changes happened: system noise in, proven batches out;
//! - [`supervise`]: the child: built, started, stopped and restarted, nothing left behind;
//! - `proxy`: the port the client sees (feature `proxy`);
//! - [`session`]: all of them together.
//!
//! The library prints nothing, takes no setting from an environment variable or a home directory, and several sessions can
//! live in one process. What it does to its process:
//!
//! - A child inherits the environment, except the variables about sockets that were passed to this process (`LISTEN_*`).
//! - [`supervise::Subreaper::Yes`] makes the process the parent of orphans, and handles `SIGCHLD`.
//! - [`supervise::OrphanKiller::run_if_asked`] exits if the process was started as an orphan killer, and remembers its call.
//! - [`supervise::terminal`] stops or ends the process, and changes the terminal, when the program asks for it.

// The examples of README.md are compiled by `cargo test`.
#![cfg_attr(doctest, doc = include_str!("../README.md"))]

// Where this fails, its message is the only one: everything else is left out.
mod platform;
#[cfg(unix)]
#[allow(dead_code, reason = "its users move to it one by one")]
mod sync;
#[cfg(unix)]
mod generation;
#[cfg(unix)]
mod remedy;
#[cfg(unix)]
pub mod change;
#[cfg(unix)]
pub mod rules;
#[cfg(unix)]
pub mod watch;
#[cfg(unix)]
pub mod supervise;
#[cfg(all(unix, feature = "proxy"))]
pub mod proxy;
#[cfg(unix)]
pub mod session;

#[cfg(unix)]
pub use generation::GenerationId;
#[cfg(unix)]
pub use remedy::Remedy;
#[cfg(unix)]
pub use session::{Error, Event, Handle, Options, Session};
#[cfg(unix)]
pub use supervise::Command;
