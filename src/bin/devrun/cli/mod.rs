//! The command line: its options, subcommands and values, and the errors for words that do not parse.

pub(crate) mod args;
pub(crate) mod commands;
pub(crate) mod control;
pub(crate) mod parse;
mod habits;
pub(crate) mod values;
