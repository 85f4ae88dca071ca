//! Which files changed: file system events in, proven batches of changes out.
//!
//! ```text
//! notify event -> RawEvent -> Worker -> Debouncer -> Burst -> snapshot::diff -> Batch
//!     source/      queue      worker/     debounce/            snapshot/
//! ```
//!
//! Walking and reading block, so the work is done by a thread named `devrun-watch`. On Linux a second thread,
//! `devrun-events`, reads inotify and fills the queue. A third one, `devrun-read`, fingerprints files in
//! advance.

#[allow(clippy::module_inception)]
mod watch;

mod event;
mod options;
mod error;
mod stats;

mod worker;
mod snapshot;
mod source;
mod debounce;
mod filter;
mod queue;
mod git;
mod fs;

pub use error::Error;
pub use event::Event;
pub use filter::Selection;
pub use options::{Compare, MissingRoots, Mode, Options};
#[doc(hidden)]
pub use source::file_system_type;
pub use stats::{RootReport, Stats, Summary, Why};
pub use watch::{Handle, Watch};
