//! Errors of starting the proxy.

use std::io;
use std::net::SocketAddr;

/// Error of starting the proxy. The message completes "failed to …".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An address cannot be bound.
    #[error("listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The error of the system call.
        source: io::Error,
    },
}
