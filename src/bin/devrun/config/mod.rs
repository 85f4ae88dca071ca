//! The settings of a run: command line, environment and devrun.toml, merged, checked and resolved.

pub(crate) mod command;
pub(crate) mod diff;
pub(crate) mod environment;
pub(crate) mod file;
pub(crate) mod key;
pub(crate) mod merge;
pub(crate) mod output_files;
pub(crate) mod resolve;
pub(crate) mod server;
pub(crate) mod settings;
pub(crate) mod toml_options;
pub(crate) mod validate;
