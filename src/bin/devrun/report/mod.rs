//! What the program prints about a run, and as log of the library.

mod command_name;
mod downtime;
mod history;
pub(crate) mod log;
mod paths;
mod record;
mod reporter;
mod rest;
mod restarts;
mod title;

pub(crate) use record::mode_reason;
pub(crate) use reporter::Reporter;
