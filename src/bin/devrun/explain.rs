//! `devrun explain`.

use std::path::PathBuf;

use crate::failure::{ExitCode, Failure};
use crate::settings::Settings;
use crate::terminal::Terminal;

/// What is asked.
#[derive(Debug)]
pub(crate) struct Question {
    /// As typed, relative to `settings.directory`.
    pub(crate) paths: Vec<PathBuf>,
    /// Paths come from standard input too.
    pub(crate) stdin: bool,
    /// They end with NUL.
    pub(crate) null: bool,
    /// Answer with one JSON object per path.
    pub(crate) json: bool,
}

/// Says which rule decides, for each path.
pub(crate) fn run(
    settings: Settings,
    question: Question,
    terminal: &mut Terminal,
) -> Result<ExitCode, Failure> {
    let _ = (settings, question, terminal);
    Ok(ExitCode::Success)
}
