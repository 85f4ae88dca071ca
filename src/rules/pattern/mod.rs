//! The syntax of one gitignore line: parsing, matching, and an index over the patterns of a file.

mod case;
mod entry_kind;
mod error;
mod byte_mask;
mod char_class;
mod token;
mod glob;
mod query;
mod pattern;
mod index;

pub(super) use case::Case;
pub use entry_kind::EntryKind;
pub(super) use error::PatternError;
pub use error::PatternErrorKind;
pub(super) use glob::Glob;
pub(super) use index::PatternIndex;
pub(super) use pattern::{Matcher, Pattern};
pub(super) use query::Query;
pub(super) use token::Target;
