//! The output of a child on its way: from its pipe, through a queue, to a stream that a status line and the
//! program share.

mod child_output;
mod conflict_words;
mod status_line;
mod writer;

pub use child_output::Capture;
pub(crate) use child_output::{ChildOutput, OutputPipe, OutputPipes};
pub(crate) use conflict_words::{ConflictLine, Resource};
pub use writer::OutputStreams;
