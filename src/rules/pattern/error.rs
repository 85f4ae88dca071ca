//! Why a pattern can never match, and where in its text that is.

/// Why a pattern can never match anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PatternErrorKind {
    /// Nothing is left of it: `!`, `/`, `//`, only blanks.
    Empty,
    /// A `[` without its `]`.
    UnclosedSet,
    /// A `[:name:]` that is none of the twelve.
    UnknownClass,
    /// A set with no member that a path's component can hold: `[z-a]`, `[/]`.
    EmptySet,
    /// A backslash with nothing to protect; `a\/` is one, since the final slash only marks directories.
    FinalBackslash,
    /// Two slashes in a row, or one at the end that is no mark for directories: no path is spelled so.
    EmptyComponent,
    /// A component `.` or `..`: no path is spelled so.
    DotComponent,
}

impl PatternErrorKind {
    /// What is wrong, as a part of a sentence.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "nothing is left of the pattern",
            Self::UnclosedSet => "the set is not closed: there is no `]`",
            Self::UnknownClass => "there is no character class of that name",
            Self::EmptySet => "the set has no member that a name could hold",
            Self::FinalBackslash => "the final backslash protects nothing",
            Self::EmptyComponent => "it has an empty component, and no path has one",
            Self::DotComponent => "it has a component `.` or `..`, and no path below here has one",
        }
    }
}

/// A [`PatternErrorKind`] and where in the pattern's text it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::rules) struct Fault {
    pub(in crate::rules) flaw: PatternErrorKind,
    /// The offset of its first byte in the text.
    pub(in crate::rules) at: usize,
    /// How many bytes are to blame.
    pub(in crate::rules) len: usize,
}
