//! The port that clients see: requests held during a restart, responses drained, a page instead of a dead tab.
//!
//! Enters no other room: what serves is told to it ([`Upstream`]); it never asks.

mod options;
mod error;
mod event;
mod upstream;
mod client;
mod server;
mod dial;
mod drain;
mod gate;
mod port;
mod headers;
mod upload;
mod download;
mod body;
mod colour;
mod ansi;
mod page;
mod reply;
mod inject;
mod reload;
mod websocket;
mod bridge;
mod forward;
mod bind;
mod serve;
mod shared;
mod answer;
mod task;

pub use error::Error;
pub use event::Event;
pub use options::Options;
pub use task::{Handle, Proxy};
pub use upstream::{FailureReport, Upstream};
