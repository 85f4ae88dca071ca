//! The terminal: what the program writes and how, errors with their exit statuses, and the log.

pub(crate) mod byte_string;
pub(crate) mod error;
pub(crate) mod escape;
pub(crate) mod numbers;
pub(crate) mod remedy;
pub(crate) mod style;
pub(crate) mod terminal;
