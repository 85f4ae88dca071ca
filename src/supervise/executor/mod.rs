//! Executes the actions of the state machine: starts, signals and reaps processes. Contains no policy.

mod executor;
mod perform;
mod running;
mod start;

pub(super) use executor::Hands;
pub(super) use running::ProcessEvent;
