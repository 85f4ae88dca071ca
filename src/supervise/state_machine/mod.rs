//! The decisions about generations, as a pure state machine: inputs and the time in, actions out.
//!
//! The state machine decides when a generation is built, started, drained, stopped, killed and abandoned. It
//! knows no process, clock, socket or async runtime, so a test replays inputs and compares actions
//! (`tests/cases/machine`).

mod action;
mod generation;
mod lifecycle;
mod machine;
mod restart_loop;
mod waiters;
#[cfg(test)]
mod invariants;
#[cfg(test)]
mod tests;

pub(super) use action::{Action, Input, SignalTarget};
pub(super) use machine::Machine;
