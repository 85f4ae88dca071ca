//! `devrun doctor`: checks the system, the settings and the project for problems.

mod command_checks;
mod diagnose;
mod event_test;
mod finding;
mod limit_checks;
mod port_checks;
mod project_checks;
mod watch_checks;

pub(crate) use diagnose::{EventTests, run};
