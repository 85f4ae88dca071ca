//! Hints: "look here". May be false, double or late; never lost: what cannot be named becomes coarser.

use std::path::PathBuf;

/// What the source believes has happened to a path. Only its timing depends on it, never the outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RawEventKind {
    /// It was made, and may still be open for writing: its end is worth waiting for.
    Opened,
    /// It was moved here, or is otherwise complete.
    Written,
    /// It was open for writing, as no directory can be, and was closed.
    Closed,
    /// It went away, maybe only for the moment between the two halves of a save.
    Gone,
}

/// Where to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RawEvent {
    /// At one path.
    Path {
        /// The absolute path.
        path: PathBuf,
        /// What is believed to have happened.
        sign: RawEventKind,
    },
    /// Everywhere: events were lost, and the source cannot say which.
    Everything,
}
