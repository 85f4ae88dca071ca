//! Performs the actions of the state machine: starts, signals and reaps processes. Contains no policy.
//!
//! [`Executor`] is the whole. Its parts: `processes` starts, signals and reaps the processes, `builds` runs the
//! builds, `server` checks whether a generation serves, and `python_bytecode` removes stale bytecode.

mod builds;
mod executor;
mod processes;
mod python_bytecode;
mod server;

pub(super) use executor::Executor;
pub(super) use processes::ProcessEvent;
