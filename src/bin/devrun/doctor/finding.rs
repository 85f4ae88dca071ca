//! One finding of `devrun doctor`: a check with its result, a message and a remedy.

use serde_json::{Value, json};

use crate::ui::{CliError, ERROR, FAINT, GOOD, HELP, NAME, Terminal, WARNING, styled};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    /// The check found no problem.
    Good,
    /// Worth knowing.
    Note,
    /// A problem that will show sooner or later.
    Warning,
    /// A problem that stops devrun or COMMAND now.
    Error,
}

impl Level {
    /// The name in both formats.
    fn name(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// The stable name of the check.
    id: &'static str,
    level: Level,
    message: String,
    /// What the user can do; may be empty.
    remedy: String,
}

impl Finding {
    /// A check that found no problem.
    pub(super) fn good(id: &'static str, message: impl Into<String>) -> Self {
        Self { id, level: Level::Good, message: message.into(), remedy: String::new() }
    }

    /// Something worth knowing.
    pub(super) fn note(id: &'static str, message: impl Into<String>) -> Self {
        Self { id, level: Level::Note, message: message.into(), remedy: String::new() }
    }

    /// A problem that will show sooner or later.
    pub(super) fn warning(id: &'static str, message: impl Into<String>) -> Self {
        Self { id, level: Level::Warning, message: message.into(), remedy: String::new() }
    }

    /// A problem that stops devrun or COMMAND now.
    pub(super) fn error(id: &'static str, message: impl Into<String>) -> Self {
        Self { id, level: Level::Error, message: message.into(), remedy: String::new() }
    }

    /// Adds what the user can do, in one line or several.
    #[must_use]
    pub(super) fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// Whether it is a warning or an error.
    pub(super) fn is_problem(&self) -> bool {
        self.level >= Level::Warning
    }

    /// The finding as an object of `--format json`.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "level": self.level.name(),
            "message": self.message,
            "remedy": self.remedy,
        })
    }

    /// Prints the finding for people.
    pub(super) fn print(&self, terminal: &mut Terminal) -> Result<(), CliError> {
        let style = match self.level {
            Level::Good => GOOD,
            Level::Note => HELP,
            Level::Warning => WARNING,
            Level::Error => ERROR,
        };
        let level = styled(style, format!("{:<7}", self.level.name()));
        terminal.println(format_args!("{level}  {}: {}", styled(NAME, self.id), self.message))?;
        for line in self.remedy.lines() {
            terminal.println(format_args!("         {} {line}", styled(FAINT, "help:")))?;
        }
        Ok(())
    }
}
