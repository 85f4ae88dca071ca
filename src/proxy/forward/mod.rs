//! The way of one request: to the serving generation, and back with its response.

mod handle;

mod attempt;
mod respond;

pub(super) use handle::handle;
