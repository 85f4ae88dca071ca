//! One finding of `devrun doctor`: what is the matter, how bad it is, and how to mend it.

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// All is well.
    Good,
    /// Worth knowing.
    Note,
    /// Will go wrong sooner or later.
    Warning,
    /// Goes wrong now.
    Error,
}

impl Level {
    /// Its name, in both formats.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Symptom {
    /// A stable name.
    pub(crate) id: &'static str,
    pub(crate) level: Level,
    /// One sentence.
    pub(crate) message: String,
    /// What to do; may be empty.
    pub(crate) remedy: String,
}

impl Symptom {
    fn new(id: &'static str, level: Level, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { id, level, message: message.into(), remedy: remedy.into() }
    }

    pub(crate) fn good(id: &'static str, message: impl Into<String>) -> Self {
        Self::new(id, Level::Good, message, "")
    }

    pub(crate) fn note(id: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(id, Level::Note, message, remedy)
    }

    pub(crate) fn warning(id: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(id, Level::Warning, message, remedy)
    }

    pub(crate) fn error(id: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(id, Level::Error, message, remedy)
    }
}
