//! The command line: its options, subcommands and values, and the errors for words that do not parse.

pub(crate) mod addresses;
pub(crate) mod args;
pub(crate) mod commands;
pub(crate) mod parse;
pub(crate) mod suggest;
pub(crate) mod usage_error;
pub(crate) mod values;
