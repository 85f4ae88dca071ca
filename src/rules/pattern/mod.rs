//! One line of gitignore syntax: read, matched, and found among the others of its file.

mod error;
mod char_class;
mod token;
mod glob;
mod pattern;
mod index;

pub(super) use error::Fault;
pub use error::Flaw;
pub(super) use glob::Glob;
pub(super) use index::{Index, Query};
pub(super) use pattern::{Pattern, Shape};
