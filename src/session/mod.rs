//! All rooms together: the only code that sees watch, supervise and proxy at once. Routes, decides nothing.

mod options;
mod error;
mod event;
#[cfg(feature = "proxy")]
mod routes;
mod rooms;
mod task;

pub use error::Error;
pub use event::Event;
pub use options::Options;
pub use task::{Handle, Session};
