//! What the program prints about a run, about the findings of `check`, and as log of the library.

pub(crate) mod check;
mod downtime;
mod history;
mod human;
mod json;
mod line;
pub(crate) mod log;
mod mode_reason;
mod record;
mod reporter;
mod restart_log;

pub(crate) use mode_reason::mode_reason;
pub(crate) use reporter::Reporter;
