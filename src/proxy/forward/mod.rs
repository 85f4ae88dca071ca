//! The way of one request: to the serving generation, and back with its response.
//!
//! - [`handle`]: the whole story of a request, top to bottom;
//! - `client_request`: the request as it came;
//! - `attempt`: sends the request to an upstream once;
//! - `retry`: what follows a failed attempt;
//! - `respond`: turns the upstream's response into the client's.

mod attempt;
mod client_request;
mod handle;
mod respond;
mod retry;

pub(super) use handle::handle;
