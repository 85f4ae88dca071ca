//! devrun: a development-server supervisor as a library.
//!
//! It watches source files, filters them by gitignore-style rules, restarts a child process when a relevant file changes,
//! and holds the port that clients see meanwhile.
//!
//! - [`change`]: proven changes of files, and batches of them;
//! - [`rules`]: which paths are relevant, decided as git decides, and which line decides;
//! - [`watch`]: which relevant files changed;
//! - [`supervise`]: the child process: built, started, stopped and restarted as a whole process tree;
//! - `proxy`: the port that clients see (feature `proxy`);
//! - [`session`]: all of them together.
//!
//! Most programs need [`Session`] and [`Options`] only.
//!
//! The library prints nothing, takes no setting from an environment variable or a home directory, and several sessions can
//! live in one process. It affects its process in these ways:
//!
//! - A child inherits the environment, except the variables about sockets that were passed to this process (`LISTEN_*`).
//! - [`supervise::Subreaper::Yes`] makes the process the parent of orphans, and handles `SIGCHLD`.
//! - Each supervisor starts one more process, an [`supervise::OrphanKiller`]. It kills the process tree if the program ends
//!   without having stopped it, also by a signal. `options.supervise.orphan_killer = None` opts out.
//! - [`supervise::OrphanKiller::run_if_asked`] exits if the process was started as an orphan killer, and remembers its call.
//! - [`supervise::remember_inherited_children`] remembers process numbers.
//! - On a system without pidfds (pidfd_open(2)), a supervisor handles `SIGCHLD`.
//! - [`supervise::terminal`] stops or ends the process, and changes the terminal, when the program asks for it.

// The examples of README.md are compiled by `cargo test`.
#![cfg_attr(doctest, doc = include_str!("../README.md"))]

// On an unsupported system, the build fails with this one message, because all modules are left out.
#[cfg(not(unix))]
compile_error!(
    "devrun needs Unix processes and sockets; on Windows, build and run it inside WSL: `wsl --install`"
);

#[cfg(unix)]
mod sync;
#[cfg(unix)]
mod generation;
#[cfg(unix)]
mod remedy;
#[cfg(unix)]
mod tls;
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
