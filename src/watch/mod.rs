//! Which changes happened: system noise in, proven batches out.
//!
//! Knows the rules, and no child: source -> filter -> coalesce -> compare.

mod tally;
mod options;
mod error;
mod event;
mod hint;
mod paths;
mod stamp;
mod hot;
mod tree;
mod selection;
mod filter;
mod inbox;
mod source;
mod walk;
mod hold;
mod quiet;
mod coalesce;
mod compare;
mod reading;
mod proving;
mod keeper;
mod survey;
mod roots;
mod pace;
mod writing;
mod plan;
mod room;
mod standby;
mod task;

pub use error::Error;
pub use event::{Event, RootReport, Summary, Why};
pub use options::{Compare, Mode, Options};
pub use selection::Selection;
pub use standby::Standby;
pub use tally::Tally;
pub use task::{Control, Watch, WatchBeginning};
