//! The program's one error type, and its exit statuses. Prints nothing: `terminal.rs` does.

use std::error::Error;
use std::ops::Range;

use devrun::supervise::Signal;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitCode {
    /// As asked; nothing found; some path is ignored (`explain`).
    Success,
    /// There are findings (`check`, `doctor`); no path is ignored (`explain`).
    Findings,
    /// Usage, configuration or I/O error.
    Failed,
    /// COMMAND is not executable.
    NotExecutable,
    /// COMMAND was not found.
    NotFound,
    /// COMMAND's own status, with `--on-exit quit`.
    Child(u8),
    /// Died by this signal, or COMMAND did: devrun dies by it too.
    Signal(Signal),
}

impl ExitCode {
    /// The status, as the shell sees it.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Findings => 1,
            Self::Failed => 2,
            Self::NotExecutable => 126,
            Self::NotFound => 127,
            Self::Child(status) => status,
            Self::Signal(signal) => u8::try_from(128 + signal.number()).unwrap_or(255),
        }
    }
}

/// Why the program did not do what was asked: what, why, and what to do about it.
#[derive(Debug)]
pub(crate) struct Failure {
    /// One sentence, lowercase.
    pub(crate) message: String,
    /// The chain of causes, outermost first.
    pub(crate) causes: Vec<String>,
    /// Where in a file.
    pub(crate) place: Option<Box<Place>>,
    /// What to do about it.
    pub(crate) remedy: Option<String>,
    /// How the program ends.
    pub(crate) code: ExitCode,
    /// Nothing is printed: the reader of our output has gone, which is its good right.
    pub(crate) silent: bool,
}

/// A place in a text file: shown with its line and a caret.
#[derive(Debug)]
pub(crate) struct Place {
    /// The file, as it should be named.
    pub(crate) file: String,
    /// Its whole text.
    pub(crate) text: String,
    /// The bytes in question.
    pub(crate) span: Range<usize>,
    /// What stands beside the caret; may be empty.
    pub(crate) label: String,
}

impl Place {
    /// `devrun.toml:2:1`
    pub(crate) fn named(&self) -> String {
        let before = self.text.get(..self.span.start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("{}:{line}:{column}", self.file)
    }
}

impl Failure {
    /// A usage, configuration or I/O error: status 2.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            causes: Vec::new(),
            place: None,
            remedy: None,
            code: ExitCode::Failed,
            silent: false,
        }
    }

    /// `failed to DO`, with the error and its causes.
    pub(crate) fn to_do(what: impl std::fmt::Display, error: &dyn Error) -> Self {
        let mut failure = Self::new(format!("failed to {what}"));
        failure.causes = chain(Some(error));
        failure
    }

    /// An error of the library, whose own words fit "failed to …".
    pub(crate) fn of(error: &dyn Error) -> Self {
        let mut failure = Self::new(format!("failed to {error}"));
        failure.causes = chain(error.source());
        failure
    }

    /// The output's reader has gone: the program ends well, and at once.
    pub(crate) fn closed_pipe() -> Self {
        Self { silent: true, code: ExitCode::Success, ..Self::new("the output was closed") }
    }

    #[must_use]
    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    #[must_use]
    pub(crate) fn at(mut self, place: Place) -> Self {
        self.place = Some(Box::new(place));
        self
    }
}

/// An error and its causes, as sentences.
fn chain(mut next: Option<&dyn Error>) -> Vec<String> {
    let mut causes = Vec::new();
    while let Some(error) = next {
        causes.push(error.to_string());
        next = error.source();
    }
    causes
}
