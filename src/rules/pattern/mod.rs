//! The syntax of one gitignore line: parsing, matching, and an index over the patterns of a file.

mod query;
mod parser;
mod glob;
mod pattern;
mod index;

pub(super) use glob::Glob;
pub(super) use index::PatternIndex;
pub use parser::PatternErrorKind;
pub(super) use parser::{PatternError, Target};
pub(super) use pattern::{Matcher, Pattern};
pub use query::EntryKind;
pub(super) use query::{Case, Query};
