//! What can go wrong before any rule is read. A bad line is not an error: it is a [`super::Defect`].

use std::io;
use std::path::PathBuf;

/// Why rules could not be made. Fits "failed to …".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The working directory is not absolute or cannot be resolved.
    #[error("resolve the working directory {path}", path = path.display())]
    Base {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file named by hand cannot be read.
    #[error("read the ignore file {path}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
