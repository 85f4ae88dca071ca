//! What the user can do about an error or a warning, as data.
//!
//! The library names no command-line flag. A program that has flags matches on [`Remedy`] and words each one itself.
//! [`Display`](std::fmt::Display) names the library's own options instead.

use std::borrow::Cow;
use std::fmt;

/// What the user can do about an error or a warning. `Display` words it for users of the library.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// There is nothing to do.
    None,
    /// A sentence that names no option of devrun, such as one about the syntax of a file.
    Text(Cow<'static, str>),
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Text(text) => f.write_str(text),
        }
    }
}
