//! Why supervising could not begin.

use std::io;

use super::env_file::EnvFileError;

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
    /// An environment file cannot be used.
    #[error("read the variables of {}", .0.file.display())]
    EnvFile(#[source] EnvFileError),
}
