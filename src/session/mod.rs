//! One service: a watch, a supervisor and a proxy, joined by one task.
//!
//! The only module that uses `watch`, `supervise` and `proxy` together. It routes messages between them:
//!
//! ```text
//! watch::Event::Changed(Batch)       -> supervise::Request::Changed
//! supervise::Event::Phase            -> routing -> proxy::Handle
//! proxy::Event::Drained              -> supervise::Request::Drained
//! every event of the three           -> session::Event
//! ```

#[allow(clippy::module_inception, reason = "the file is named for its type")]
mod session;
mod event_text;
mod task;
#[cfg(feature = "serde")]
mod event_json;
#[cfg(feature = "serde")]
mod json_names;
#[cfg(feature = "proxy")]
mod routing;

#[cfg(feature = "serde")]
pub use event_json::EventJson;
pub use session::{Error, Event, Handle, Options, Session};
