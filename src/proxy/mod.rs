//! The reverse proxy: the port that clients see while the server behind it restarts.
//!
//! Requests wait while no generation is ready. Responses in flight end on the generation that began them. If
//! a generation fails, the browser gets a page that says why.
//!
//! The proxy never looks for a server: its owner tells it by [`Handle::publish`] which [`Upstream`] serves.

#[allow(clippy::module_inception, reason = "the file is named for its type")]
mod proxy;

mod body;
mod client;
mod context;
mod event;
mod fallback;
mod forward;
mod gate;
mod headers;
mod in_flight;
mod listen;
mod pages;
mod upgrade;
mod upstream;

pub use event::Event;
pub use proxy::{Error, FailureReport, Handle, Options, Proxy, Upstream};
