//! Which changes happened: system noise in, proven batches out.
//!
//! Knows the rules, and no child: source -> filter -> coalesce -> compare.

mod options;
mod error;
mod event;
mod hint;
mod tree;
mod source;
mod filter;
mod coalesce;
mod compare;
mod task;

pub use error::Error;
pub use event::{Event, RootReport, Summary, Why};
pub use options::{Compare, Mode, Options};
pub use task::{Control, Watch};
