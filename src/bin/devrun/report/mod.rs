//! How the events of a run and the findings of `check` are written. One file for each format.

pub(crate) mod check;
mod history;
mod human;
mod json;
pub(crate) mod log;
mod record;
mod reporter;

pub(crate) use reporter::Reporter;
