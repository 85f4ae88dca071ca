//! The errors of a start.

use std::io;

use super::env_file::EnvFileError;

/// An error of [`super::Supervisor::start`]. Its message completes "failed to …".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A listening socket could not be opened.
    #[error("listen on {address}")]
    Listen {
        /// The address, as it was given.
        address: String,
        /// The cause.
        source: io::Error,
    },
    /// The process could not become a subreaper, handle SIGCHLD, or open its output streams.
    #[error("prepare for children")]
    Prepare(#[source] io::Error),
    /// An environment file cannot be used.
    #[error("read the variables of {}", .0.file.display())]
    EnvFile(#[source] EnvFileError),
}
