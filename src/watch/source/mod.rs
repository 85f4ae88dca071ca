//! Where hints come from.

mod event;
mod stat;
mod auto;

pub(crate) use auto::Mounts;
pub(crate) use event::{Events, Refusal};
pub(crate) use stat::{Notice, glance, scan};
