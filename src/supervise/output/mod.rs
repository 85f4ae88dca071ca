//! The output of a child on its way: from its pipe, through a queue, to a stream that a status line and the
//! program share.

mod capture;
mod pipes;
mod pump;
mod status_line;
mod writer;

pub use capture::Capture;
pub(crate) use pipes::{OutputPipe, OutputPipes};
pub(crate) use pump::ChildOutput;
pub use writer::OutputStreams;
