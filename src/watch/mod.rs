//! Which changes happened: system noise in, proven batches out.
//!
//! Knows the rules, and no child: source -> filter -> coalesce -> compare.

#[allow(clippy::module_inception)]
mod watch;
mod event;
mod summary;
mod options;
mod error;
mod stats;
mod selection;

mod worker;
mod snapshot;
mod source;
mod debounce;
mod filter;
mod event_counts;
mod queue;
mod raw_event;
mod fs;

pub use error::Error;
pub use event::{Event, RootReport, Summary, Why};
pub use options::{Compare, Mode, Options};
pub use selection::Selection;
pub use stats::Stats;
pub use watch::{Handle, Watch};
