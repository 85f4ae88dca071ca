//! The watch thread: reads raw events, compares the paths that they name, and sends batches.

mod event_loop;
mod flush;
mod poll;
mod root;
mod roots;
mod rule_reload;
mod startup;
mod worker;

pub(super) use root::{Root, State};
pub(super) use worker::Worker;
