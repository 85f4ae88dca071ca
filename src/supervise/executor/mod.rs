//! Performs the actions of the state machine: starts, signals and reaps processes. Contains no policy.
//!
//! [`Executor`] is the whole. Its parts: `launcher` starts processes, `running` is one of them, `builds` runs the
//! builds, `readiness_checks` waits until a generation serves, and `tracked_trees` knows the process trees.

mod builds;
mod executor;
mod launcher;
mod process_event;
mod python_bytecode;
mod readiness_checks;
mod running;
mod tracked_trees;

pub(super) use executor::Executor;
pub(super) use process_event::ProcessEvent;
