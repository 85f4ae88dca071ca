//! One line on the terminal during a run, with its level.

use anstyle::Style;

use crate::config::OutputSettings;
use crate::ui::{ERROR, FAINT, GOOD, Terminal, WARNING, escape_text, styled};

/// How important a line is. It decides the colour, and which lines `-q` and `-v` show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    /// Shown with `-v`.
    Detail,
    /// Shown unless `-q`.
    Info,
    /// As `Info`, in green.
    Success,
    /// Always shown.
    Warning,
    /// Always shown.
    Error,
}

/// The least level that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Verbosity(Level);

impl Verbosity {
    /// What `-q` and `-v` select.
    pub(super) fn new(output: OutputSettings) -> Self {
        Self(match (output.quiet, output.verbose) {
            (true, _) => Level::Warning,
            (false, 0) => Level::Info,
            (false, _) => Level::Detail,
        })
    }

    /// Whether only warnings and errors are shown.
    pub(super) fn is_quiet(self) -> bool {
        self.0 > Level::Success
    }
}

/// One line, without colour and without escaping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    level: Level,
    text: String,
}

impl Line {
    /// A line for `-v`.
    pub(super) fn detail(text: impl Into<String>) -> Self {
        Self { level: Level::Detail, text: text.into() }
    }

    pub(super) fn info(text: impl Into<String>) -> Self {
        Self { level: Level::Info, text: text.into() }
    }

    pub(super) fn success(text: impl Into<String>) -> Self {
        Self { level: Level::Success, text: text.into() }
    }

    pub(super) fn warning(text: impl Into<String>) -> Self {
        Self { level: Level::Warning, text: text.into() }
    }

    pub(super) fn error(text: impl Into<String>) -> Self {
        Self { level: Level::Error, text: text.into() }
    }

    /// Prints the line to standard error if the verbosity includes it.
    pub(super) fn print(&self, verbosity: Verbosity, terminal: &mut Terminal) {
        if self.level < verbosity.0 {
            return;
        }
        let style = match self.level {
            Level::Detail => FAINT,
            Level::Info => Style::new(),
            Level::Success => GOOD,
            Level::Warning => WARNING,
            Level::Error => ERROR,
        };
        let text = escape_text(&self.text);
        terminal.eprintln(format_args!("{} {}", styled(FAINT, "devrun:"), styled(style, text)));
    }
}
