//! What the program prints about a run, about the findings of `check`, and as log of the library.

pub(crate) mod check;
mod history;
mod human;
mod line;
pub(crate) mod log;
mod record;
mod reporter;

pub(crate) use human::mode_reason;
pub(crate) use record::{Reconfigured, Record};
pub(crate) use reporter::Reporter;
