//! Options from the environment and from devrun.toml, and the merge with those of the command line.

pub(crate) mod environment;
pub(crate) mod file;
pub(crate) mod key;
pub(crate) mod merge;
pub(crate) mod mistake;
pub(crate) mod toml_options;
