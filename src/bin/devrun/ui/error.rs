//! The error type of the program, and the exit statuses. The terminal prints errors; this file prints
//! nothing.

use std::error::Error;
use std::fmt::Display;
use std::ops::Range;

use devrun::supervise::Signal;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitCode {
    /// Success. `check`: no findings. `explain`: some path is ignored.
    Success,
    /// `check` and `doctor`: there are findings. `explain`: no path is ignored.
    Findings,
    /// Usage, configuration or I/O error.
    Failed,
    /// COMMAND is not executable.
    NotExecutable,
    /// COMMAND was not found.
    NotFound,
    /// `wait`: the time was too short. The status is that of timeout(1).
    Late,
    /// The exit status of COMMAND, with `--on-exit quit`.
    Child(u8),
    /// A signal ended devrun or COMMAND. devrun then kills itself by the same signal.
    Signal(Signal),
}

impl ExitCode {
    /// The status, as the shell sees it.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Findings => 1,
            Self::Failed => 2,
            Self::Late => 124,
            Self::NotExecutable => 126,
            Self::NotFound => 127,
            Self::Child(status) => status,
            Self::Signal(signal) => u8::try_from(128 + signal.number()).unwrap_or(255),
        }
    }
}

/// An error of the program: a message, its causes and a remedy.
#[derive(Debug)]
pub(crate) struct CliError {
    /// One sentence in lower case.
    pub(crate) message: String,
    /// The chain of causes, outermost first.
    pub(crate) causes: Vec<String>,
    /// The part of a file that the error is about.
    pub(crate) span: Option<Box<SourceSpan>>,
    /// What the user can do about the error.
    pub(crate) remedy: Option<String>,
    /// How the program ends after this error.
    pub(crate) exit_code: ExitCode,
    /// Whether the error is not printed.
    pub(crate) is_silent: bool,
    /// Further errors of the same file, in its order.
    pub(crate) others: Vec<CliError>,
}

impl CliError {
    /// A usage, configuration or I/O error (status 2). `message` is one sentence in lower case.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            causes: Vec::new(),
            span: None,
            remedy: None,
            exit_code: ExitCode::Failed,
            is_silent: false,
            others: Vec::new(),
        }
    }

    /// `failed to ACTION: ERROR: ITS SOURCE …`
    pub(crate) fn failed_to(action: impl Display, error: &dyn Error) -> Self {
        Self { causes: chain(Some(error)), ..Self::new(format!("failed to {action}")) }
    }

    /// An error of the library. Its own message continues "failed to …".
    pub(crate) fn from_library(error: &dyn Error) -> Self {
        Self { causes: chain(error.source()), ..Self::new(format!("failed to {error}")) }
    }

    /// The reader of standard output closed it, as `head` does. The program prints nothing and exits with
    /// status 0.
    pub(crate) fn closed_pipe() -> Self {
        Self { is_silent: true, exit_code: ExitCode::Success, ..Self::new("standard output was closed") }
    }

    /// Adds what the user can do about the error.
    #[must_use]
    pub(crate) fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Adds the lines of the file that the error is about.
    #[must_use]
    pub(crate) fn with_span(mut self, span: SourceSpan) -> Self {
        self.span = Some(Box::new(span));
        self
    }

    /// Appends a cause.
    #[must_use]
    pub(crate) fn with_cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Puts `CONTEXT: ` in front of the message.
    #[must_use]
    pub(crate) fn with_context(mut self, context: &str) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }
}

/// A part of a text file. The terminal shows it as a source line with carets.
#[derive(Debug)]
pub(crate) struct SourceSpan {
    /// The name of the file, as messages show it.
    pub(crate) file: String,
    /// The whole text of the file.
    pub(crate) text: String,
    /// The marked bytes of the text.
    pub(crate) range: Range<usize>,
    /// The note next to the carets; may be empty.
    pub(crate) label: String,
}

impl SourceSpan {
    /// `file` is the name to show, `text` the whole text of the file, `range` counts bytes of `text`.
    pub(crate) fn new(file: impl Into<String>, text: impl Into<String>, range: Range<usize>) -> Self {
        Self { file: file.into(), text: text.into(), range, label: String::new() }
    }

    /// Adds a note that is shown next to the carets.
    #[must_use]
    pub(crate) fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// `FILE:LINE:COLUMN`, such as `devrun.toml:2:1`. The column counts characters.
    pub(crate) fn location(&self) -> String {
        let before = self.text.get(..self.range.start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("{}:{line}:{column}", self.file)
    }
}

/// The message of an error and of each source behind it.
fn chain(mut next: Option<&dyn Error>) -> Vec<String> {
    let mut causes = Vec::new();
    while let Some(error) = next {
        causes.push(error.to_string());
        next = error.source();
    }
    causes
}
