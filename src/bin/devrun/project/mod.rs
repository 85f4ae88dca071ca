//! What kind of project a directory holds, how to run it, and which of its folders hold data. Reads files, writes none.
//!
//! `devrun init`, `devrun doctor` and the message about a missing COMMAND use it.

mod answer;
mod data_folders;
mod files;
mod kinds;
mod node;
mod processes;
mod python;
mod recognise;
mod targets;

pub(crate) use data_folders::{DataFolder, data_folders, tracked};
pub(crate) use recognise::{Project, SHELL_SIGNS, recognise};
