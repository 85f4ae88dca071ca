//! Settings: each option with its value or its default, ready for use.

pub(crate) mod command;
pub(crate) mod groups;
pub(crate) mod library_options;
pub(crate) mod server;
pub(crate) mod settings;
