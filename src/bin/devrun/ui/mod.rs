//! The terminal: what the program writes and how, errors with their exit statuses, and the log.

pub(crate) mod byte_string;
mod error;
mod escape;
mod numbers;
mod remedy;
mod style;
mod terminal;

pub(crate) use byte_string::ByteString;
pub(crate) use error::{CliError, ExitCode, SourceSpan};
pub(crate) use escape::{escape_bytes, escape_path, escape_relative_path, escape_text};
pub(crate) use numbers::{count, running_time, size, time};
pub(crate) use remedy::worded;
pub(crate) use style::{ERROR, FAINT, GOOD, HELP, NAME, WARNING, styled};
pub(crate) use terminal::{StderrWriter, Terminal};
