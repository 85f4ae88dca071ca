//! One line of gitignore syntax: read, matched, and found among the others of its file.

mod error;
mod entry_kind;
mod char_class;
mod token;
mod glob;
mod pattern;
mod index;

pub use entry_kind::EntryKind;
pub(super) use error::Fault;
pub use error::PatternErrorKind;
pub(super) use glob::Glob;
pub(super) use index::{Index, Query};
pub(super) use pattern::{Pattern, Shape};
