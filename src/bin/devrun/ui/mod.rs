//! What the program writes and how: the terminal, errors with their exit statuses, and the log.

pub(crate) mod byte_string;
pub(crate) mod error;
pub(crate) mod remedy;
pub(crate) mod terminal;
pub(crate) mod trace;
