//! Performs the actions of the state machine: starts, signals and reaps processes. Contains no policy.
//!
//! [`Executor`] is the whole. Its parts: `processes` starts, signals and reaps the processes, `builds` runs the
//! builds, `readiness_checks` waits until a generation serves, and `python_bytecode` removes stale bytecode.

mod builds;
mod executor;
mod processes;
mod python_bytecode;
mod readiness_checks;

pub(super) use executor::Executor;
pub(super) use processes::ProcessEvent;
