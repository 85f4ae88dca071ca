//! The proxy's own listening sockets: binding them, and accepting clients on them.

mod accept;
mod bind;

pub(super) use accept::accept;
pub(super) use bind::bind;
