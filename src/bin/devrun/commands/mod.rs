//! The subcommands that answer a question or write files, and then exit. One file for each.

pub(crate) mod check;
pub(crate) mod explain;
pub(crate) mod init;
mod init_files;
pub(crate) mod list;
