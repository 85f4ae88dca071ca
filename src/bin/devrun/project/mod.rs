//! What kind of project a directory holds, and which of its folders hold data. Reads files, writes none.
//!
//! `devrun init` and `devrun doctor` use it.

mod data_folders;
mod kinds;

pub(crate) use data_folders::{DataFolder, data_folders};
pub(crate) use kinds::{Project, recognise};
