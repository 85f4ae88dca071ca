//! How much of a child's output goes through this process.

/// What of the child's output goes through this process.
///
/// If this process writes to a terminal, the child gets a terminal too, so that it keeps its colors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Capture {
    /// Nothing: the child writes to the streams of this process directly.
    #[default]
    No,
    /// Output that goes to a terminal, so that a status line can be shown below it.
    Terminal,
    /// Everything, so that reports contain the end of it.
    All,
}
