//! `devrun list`.

use std::time::Duration;

use crate::failure::{ExitCode, Failure};
use crate::settings::Settings;
use crate::terminal::Terminal;

/// What is asked.
#[derive(Debug)]
pub(crate) struct Question {
    /// What to show.
    pub(crate) show: Show,
    /// As JSON.
    pub(crate) json: bool,
}

/// What to show.
#[derive(Debug)]
pub(crate) enum Show {
    /// Watched directories with their counts.
    Tree,
    /// Watched files, one a line, or each with a NUL.
    Flat { null: bool },
    /// Ignored subtrees, with their rule.
    Ignored,
    /// Paths with most events within this time.
    Hot(Duration),
}

/// Shows what is watched and what is not.
pub(crate) fn run(
    settings: Settings,
    question: Question,
    terminal: &mut Terminal,
) -> Result<ExitCode, Failure> {
    let _ = (settings, question, terminal);
    Ok(ExitCode::Success)
}
