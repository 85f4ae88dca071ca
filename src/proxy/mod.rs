//! The reverse proxy: the port that clients see while the server behind it restarts.
//!
//! Requests wait while no generation is ready. Responses in flight end on the generation that began them. If
//! a generation fails, the browser gets a page that says why.
//!
//! The proxy never looks for a server: its owner tells it by [`Handle::publish`] which [`Upstream`] serves.

mod body;
mod connections;
mod context;
mod error;
mod event;
mod fallback;
mod forward;
mod gate;
mod headers;
mod in_flight;
mod listen;
mod options;
mod pages;
#[allow(clippy::module_inception, reason = "the file is named for its type")]
mod proxy;
mod upgrade;
mod upstream;

pub use error::Error;
pub use event::Event;
pub use options::Options;
pub use proxy::{Handle, Proxy};
pub use upstream::{FailureReport, Upstream};
