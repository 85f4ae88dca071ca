//! Why watching could not begin. Once begun it never fails: it degrades, and says so.

use std::io;
use std::path::PathBuf;

/// Why watching could not begin. Fits "failed to …".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The rules could not be made.
    #[error("read the ignore rules")]
    Rules(#[from] crate::rules::Error),
    /// A glob of `filters` does not parse.
    #[error("parse the filter `{glob}`: {reason}")]
    Filter {
        /// The glob.
        glob: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A root cannot be watched in any way.
    #[error("watch {path}", path = path.display())]
    Root {
        /// The root.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
