//! Why a pattern can never match, and which part of its text is at fault.

use std::ops::Range;

/// Why a pattern can never match anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PatternErrorKind {
    /// The pattern has no text except its markers: `!`, `/`, `//`, or spaces only.
    Empty,
    /// A `[` without a closing `]`.
    UnclosedSet,
    /// A `[:name:]` that is none of the twelve POSIX character classes.
    UnknownClass,
    /// A set that contains no byte that a file name can contain: `[z-a]`, `[/]`.
    EmptySet,
    /// A backslash with nothing to escape. The pattern `a\/` has one too, because the final slash only marks
    /// directories.
    FinalBackslash,
    /// Two slashes in a row, or a slash at the end that does not mark directories. No path has an empty
    /// component.
    EmptyComponent,
    /// A component `.` or `..`. No path below the rule file has one.
    DotComponent,
}

impl PatternErrorKind {
    /// The reason, as a part of a sentence.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "the pattern is empty",
            Self::UnclosedSet => "the set is not closed: there is no `]`",
            Self::UnknownClass => "there is no character class of that name",
            Self::EmptySet => "the set contains no character that a name can contain",
            Self::FinalBackslash => "the final backslash escapes nothing",
            Self::EmptyComponent => "it has an empty component, and no path has one",
            Self::DotComponent => "it has a component `.` or `..`, and no path below here has one",
        }
    }
}

/// Why a pattern can never match, and the bytes of its text that are at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PatternError {
    kind: PatternErrorKind,
    start: usize,
    len: usize,
}

impl PatternError {
    /// An error at `len` bytes from the offset `start`.
    pub(super) fn new(kind: PatternErrorKind, start: usize, len: usize) -> Self {
        Self { kind, start, len }
    }

    /// The same error in a text with `prefix` more bytes in front.
    pub(super) fn shifted(self, prefix: usize) -> Self {
        Self { start: self.start + prefix, ..self }
    }

    /// Why the pattern cannot match.
    pub(crate) fn kind(self) -> PatternErrorKind {
        self.kind
    }

    /// The offset of the first byte at fault.
    pub(crate) fn start(self) -> usize {
        self.start
    }

    /// The bytes at fault, cut to a text of `text_len` bytes: at least one byte of a text that has any.
    pub(crate) fn span_in(self, text_len: usize) -> Range<usize> {
        let start = self.start.min(text_len.saturating_sub(1));
        start..start + self.len.min(text_len - start)
    }
}
