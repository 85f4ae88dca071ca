//! The program's one error type, and its exit statuses. Prints nothing: `terminal.rs` does.

use std::error::Error;
use std::ops::Range;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use devrun::supervise::Signal;

use crate::nearest::nearest;

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

    /// What clap says, in our form: one sentence, and the remedy. `program` is `devrun` or `devrun check`: where
    /// help can be had.
    pub(crate) fn usage(error: &clap::Error, program: &str) -> Self {
        let value = context(error, ContextKind::InvalidValue);
        let option = context(error, ContextKind::InvalidArg).map(bare_option);
        match (error.kind(), option, value) {
            (ErrorKind::ValueValidation, Some(option), Some(value)) => {
                let reason = error.source().map(ToString::to_string).unwrap_or_default();
                let (what, remedy) = reason.split_once("; ").unwrap_or((&reason, ""));
                let failure = Self::new(format!("{option}: bad value '{value}': {what}"));
                if remedy.is_empty() { failure } else { failure.remedy(remedy) }
            }
            (ErrorKind::InvalidValue, Some(option), Some(value)) if !value.is_empty() => {
                let words = words_of(error);
                let failure = Self::new(format!("{option}: '{value}' is none of the words it takes"));
                match nearest(&value, words.iter().map(String::as_str)) {
                    Some(near) => failure.remedy(format!("did you mean {near}? All: {}", words.join(", "))),
                    None => failure.remedy(format!("one of: {}", words.join(", "))),
                }
            }
            (ErrorKind::InvalidValue, Some(option), _) => {
                let words = words_of(error);
                // `[PATH]...` is an argument by its place.
                if option.is_empty() {
                    return Self::new("an argument is empty")
                        .remedy("leave it out, or write `.` for this directory");
                }
                let failure = Self::new(format!("{option} needs a value"));
                match words.is_empty() {
                    true => failure.remedy(format!("`{program} --help` shows an example of {option}")),
                    false => failure.remedy(format!("one of: {}", words.join(", "))),
                }
            }
            (ErrorKind::UnknownArgument, Some(option), _) => {
                let what = if option.starts_with('-') { "unknown option" } else { "unexpected argument" };
                let failure = Self::new(format!("{what} '{option}'"));
                match context(error, ContextKind::SuggestedArg) {
                    Some(near) => failure.remedy(format!("did you mean {}?", bare_option(near))),
                    None => failure.remedy(format!("`{program} -h` lists the options")),
                }
            }
            (ErrorKind::MissingRequiredArgument, ..) => {
                let missing = match error.get(ContextKind::InvalidArg) {
                    Some(ContextValue::Strings(missing)) => missing.join(", "),
                    _ => "an argument".into(),
                };
                let failure = Self::new(format!("{missing} is missing"));
                match missing.starts_with("--") {
                    true => failure.remedy(format!("add {missing}: it goes with what was typed")),
                    false => failure.remedy(format!("`{program} -h` shows what is needed")),
                }
            }
            _ => Self::as_rendered(error, program),
        }
    }

    /// The first sentence of what clap writes, and its tip.
    fn as_rendered(error: &clap::Error, program: &str) -> Self {
        let text = error.render().to_string();
        let mut paragraphs = text.split("\n\n");
        let first = paragraphs.next().unwrap_or_default();
        let message = first.strip_prefix("error: ").unwrap_or(first);
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        let tips: Vec<&str> = paragraphs
            .flat_map(str::lines)
            .filter_map(|line| line.trim_start().strip_prefix("tip: "))
            .collect();
        let remedy = match (tips.is_empty(), error.kind()) {
            (false, _) => tips.join("; "),
            (true, ErrorKind::ArgumentConflict) => "leave one of them out".into(),
            (true, _) => format!("`{program} -h` lists the options"),
        };
        Self::new(message).remedy(remedy)
    }
}

fn context(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    }
}

/// `--debounce <DUR>` -> `--debounce`.
fn bare_option(shown: String) -> String {
    shown.split([' ', '=', '[']).next().unwrap_or_default().to_owned()
}

fn words_of(error: &clap::Error) -> Vec<String> {
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(words)) => words.clone(),
        _ => Vec::new(),
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
