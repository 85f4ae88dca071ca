//! `devrun doctor`: checks the system, the settings and the project for problems.

mod diagnose;
mod event_test;
mod project_checks;
mod system_checks;
mod watch_checks;

pub(crate) use diagnose::{EventTests, run};
