//! The terminal: what the program writes and how, errors with their exit statuses, and the log.

mod error;
mod features;
mod json;
mod remedy;
mod terminal;
mod text;

pub(crate) use error::{CliError, ExitCode, SourceSpan};
pub(crate) use features::{Link, Progress, file_url};
pub(crate) use json::{ByteString, Object};
pub(crate) use remedy::worded;
pub(crate) use terminal::{StderrWriter, Terminal};
pub(crate) use text::{
    ERROR, FAINT, GOOD, HELP, NAME, WARNING, count, cut_middle, escape_bytes, escape_path,
    escape_relative_path, escape_text, running_time, size, styled, time,
};
