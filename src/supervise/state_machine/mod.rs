//! The decisions about generations, as a pure state machine: inputs and the time in, actions out.
//!
//! The state machine decides when a generation is built, started, drained, stopped, killed and abandoned. It
//! knows no process, clock, socket or async runtime, so a test replays inputs and compares actions
//! (`tests/cases/machine`).

mod generation;
mod lifecycle;
mod machine;
mod restart_loop;
#[cfg(test)]
mod tests;

pub(super) use machine::{Action, Input, Machine, SignalTarget};
