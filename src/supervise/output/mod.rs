//! The output of a child on its way: from its pipe, through a queue, to a stream that a status line and the
//! program share.

mod child_output;
mod conflict_words;
mod output_log;
mod status_line;
mod writer;

pub use child_output::Capture;
pub(crate) use child_output::{ChildOutput, OutputPipe, OutputPipes};
pub(crate) use conflict_words::{ConflictLine, Resource, without_escapes};
pub use output_log::{LogChunk, LogEntry, LogPosition, OutputLog};
pub use writer::{OutputStreams, StdStream};
