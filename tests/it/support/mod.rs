//! Helpers of all tests. Each creates one resource that a test controls, and waits for conditions with a
//! deadline.
#![allow(dead_code, reason = "which helpers are used depends on the features and the platform")]

/// A real browser, driven over WebDriver.
pub(crate) mod browser;
/// The server from which the example server fetches documents.
pub(crate) mod document_server;
/// Decisions of the installed git and of devrun's rules about paths.
#[cfg(unix)]
pub(crate) mod git;
/// An HTTP client that reports how an answer was lost.
pub(crate) mod http;
/// A process whose output is collected.
pub(crate) mod process;
/// A proxy, and scripted servers behind it.
#[cfg(feature = "proxy")]
pub(crate) mod proxy;
/// A pseudo-terminal: the test types on it and reads its screen.
#[cfg(all(target_os = "linux", feature = "cli"))]
pub(crate) mod pty;
/// A temporary project, and waiting with a deadline.
pub(crate) mod sandbox;
/// A supervisor that keeps its events.
pub(crate) mod supervisor;
/// Shell transcripts, run in a sandbox.
#[cfg(feature = "cli")]
pub(crate) mod transcript;
/// A watch on a sandbox.
pub(crate) mod watch;
