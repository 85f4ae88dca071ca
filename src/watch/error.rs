//! Why a watch could not start. A running watch does not fail: it falls back to scans and sends a warning.

use std::io;
use std::path::PathBuf;

/// Why a watch could not start. The message fits after "failed to".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The rules could not be built.
    #[error("read the ignore rules")]
    Rules(#[from] crate::rules::Error),
    /// A glob of `filters` does not parse.
    #[error("parse the filter `{glob}`: {reason}")]
    Filter {
        /// The glob.
        glob: String,
        /// The parser's message.
        reason: String,
    },
    /// A root does not exist. See [`Options::missing_roots`](super::Options::missing_roots).
    #[error("watch {path}", path = path.display())]
    Root {
        /// The root.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system could not start the watch thread.
    #[error("start the watch thread")]
    Thread(#[source] io::Error),
    /// The watch thread ended before the first walk was complete.
    #[error("complete the first walk: the watch thread ended early")]
    ThreadEnded,
}
