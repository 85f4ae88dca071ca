//! Decisions about time: when a burst of events ends, and when to look at a file again.
//!
//! Pure: no file access and no clock. The current time is an argument.

mod debouncer;
mod in_progress;

pub(super) use debouncer::{Burst, Debouncer};
pub(super) use in_progress::InProgressWrites;
