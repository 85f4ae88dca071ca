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
//! - [`session`]: all of them together;
//! - `control`: a socket on which clients ask and steer running sessions (feature `control`).
//!
//! Most programs need [`Session`] and [`Options`] only:
//!
//! ```no_run
//! use devrun::supervise;
//! use devrun::{Command, Event, Options, Session};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The directory holds the project: rules, roots and the command are relative to it.
//! let mut options = Options::in_directory("shop", Command::new("python").args(["-m", "shop.server"]));
//! options.watch.roots = vec!["src".into()];
//! options.watch.rules = options.watch.rules.pattern("*.log");
//!
//! let mut session = Session::start(options).await?;
//! while let Some(event) = session.next_event().await {
//!     match event {
//!         Event::Child(supervise::Event::Restarting { because: Some(batch), .. }) => {
//!             println!("{} changed files", batch.changes.len());
//!         }
//!         // As a sentence: `generation 2 is ready at 127.0.0.1:4000`.
//!         event => println!("{event}"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! `Options::with_proxy` (feature `proxy`) adds a port that stays open across restarts. In the package, `examples/` has a
//! program for a whole session and one for each module, and `docs/guide.md` explains rules, restarts and the proxy.
//!
//! With the feature `serde`, an [`Event`] serializes as an object with the keys of `docs/reference/events.md`.
//!
//! # When your program ends
//!
//! | your program | the command |
//! |---|---|
//! | calls [`Session::stop`] and awaits it | gets the stop signal, and after `stop_timeout` SIGKILL; its whole tree is gone when `stop` returns |
//! | drops the [`Session`] while the runtime goes on | the same, in the background |
//! | ends its runtime, returns from `main`, panics, or is killed by any signal | is killed at once with its tree by the orphan killer |
//!
//! The library catches no signal, so your program decides what Ctrl-C does: send [`supervise::Request::Stop`] by a
//! [`Handle`], and wait for [`Event::Ended`].
//!
//! # Effects on your process
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
mod sync_id;
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
#[cfg(all(unix, feature = "control"))]
pub mod control;

#[cfg(unix)]
pub use generation::GenerationId;
#[cfg(unix)]
pub use remedy::Remedy;
#[cfg(unix)]
pub use session::{Error, Event, Handle, Options, Session};
#[cfg(unix)]
pub use supervise::Command;
#[cfg(unix)]
pub use sync_id::SyncId;
