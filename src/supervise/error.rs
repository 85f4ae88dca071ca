//! Why supervising could not begin.

use std::io;

/// Why supervising could not begin. Fits "failed to …".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A socket could not be opened.
    #[error("listen on {address}")]
    Listen {
        /// The address as given.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The process could not be prepared (subreaper, signals).
    #[error("prepare for children")]
    Prepare(#[source] io::Error),
}
