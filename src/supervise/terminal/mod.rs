//! The terminal: what a program around a supervisor needs of it, and job control for the processes that run.

mod foreground;
mod job_control;
mod own_process;

pub use foreground::{Cbreak, in_foreground};
pub(super) use job_control::{JobControl, StopReason};
pub use own_process::{die_by, is_ignored, stop_group, stop_self, unblock_signals};
