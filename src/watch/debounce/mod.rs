//! When a burst of events has ended, and when to look at files again. Pure: the current time is an argument.

pub(super) mod debouncer;
pub(super) mod in_progress;
pub(super) mod policy;
pub(super) mod poll_schedule;
