//! The terminal: what a program around a supervisor needs of it, and job control for the processes that run.

mod interrupt;
mod job_control;
mod own_terminal;

pub(super) use interrupt::wait_for_exit_on_terminal;
pub(super) use job_control::{JobControl, StopReason};
pub use own_terminal::{die_by, in_foreground, is_ignored, stop_group, stop_self, unblock_signals};
