//! Whether ASCII case counts in a match, which git configures with `core.ignoreCase`.

/// Whether upper and lower case of an ASCII letter differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// They differ.
    Sensitive,
    /// They are the same. Patterns are stored in lower case.
    Insensitive,
}

impl Case {
    /// Converts the value of `core.ignoreCase`.
    pub(crate) fn from_ignore_case(ignore_case: bool) -> Self {
        if ignore_case { Self::Insensitive } else { Self::Sensitive }
    }

    /// A byte of a path as the matcher compares it.
    pub(super) fn fold(self, byte: u8) -> u8 {
        match self {
            Self::Sensitive => byte,
            Self::Insensitive => byte.to_ascii_lowercase(),
        }
    }

    /// Whether a literal of a pattern equals a text.
    pub(super) fn equal(self, literal: &[u8], text: &[u8]) -> bool {
        match self {
            Self::Sensitive => literal == text,
            Self::Insensitive => literal.eq_ignore_ascii_case(text),
        }
    }
}
