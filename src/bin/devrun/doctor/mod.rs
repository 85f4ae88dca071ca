//! `devrun doctor`: checks the system, the settings and the project for problems.

mod checks;
mod diagnose;
mod event_probe;
mod finding;

pub(crate) use diagnose::{Question, run};
