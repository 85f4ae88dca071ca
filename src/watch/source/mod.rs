//! Where hints come from.

mod event;
mod stat;
mod auto;
