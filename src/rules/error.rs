//! Why rules cannot be made. A bad line is no error but a [`Defect`](super::Defect).

use std::io;
use std::path::PathBuf;

/// Why rules cannot be made. The text completes "failed to …".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The working directory is not absolute.
    #[error("resolve the working directory {path}", path = path.display())]
    Base {
        /// The directory.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A file of [`Options::files`](super::Options::files) cannot be read.
    #[error("read the ignore file {path}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}
