//! The output of a child on its way: from its pipe, through a queue, to a stream that a status line and the
//! program share.

mod child_output;
mod status_line;
mod writer;

pub use child_output::Capture;
pub(crate) use child_output::{ChildOutput, OutputPipe, OutputPipes};
pub use writer::OutputStreams;
