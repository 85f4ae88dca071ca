//! COMMAND and the builds, as commands of the library.

use std::ffi::OsString;
use std::path::Path;

use devrun::Command;
use devrun::supervise::{Shell, Stdin};

use crate::cli::args::RunOptions;
use crate::cli::values::CommandLine;
use crate::ui::CliError;

/// COMMAND. That of the command line runs in `directory`, that of devrun.toml in `base`. `None` if there is none.
///
/// # Errors
/// A [`CliError`] if COMMAND is an empty word.
pub(crate) fn command(
    options: &RunOptions,
    typed: &[OsString],
    directory: &Path,
    base: &Path,
) -> Result<Option<Command>, CliError> {
    let mut command = match (typed.split_first(), &options.command) {
        (Some((program, _)), _) if program.is_empty() => {
            return Err(CliError::new("the COMMAND after `--` is empty")
                .with_remedy("write a program, such as: devrun -- cargo run"));
        }
        (Some((program, args)), _) => {
            let command = Command::new(program).args(args);
            with_environment(command, options, directory)
        }
        (None, Some(line)) => command_from_file(line, options, base),
        (None, None) => return Ok(None),
    };
    if let Some(shell @ Shell::Program(_)) = &options.shell {
        command.shell = shell.clone();
    }
    command.stdin = options.stdin.unwrap_or_default();
    Ok(Some(command))
}

/// A command of devrun.toml. It reads no input. A line runs in the shell of `--shell`, else in `sh`.
pub(crate) fn command_from_file(line: &CommandLine, options: &RunOptions, base: &Path) -> Command {
    let mut command = match line {
        CommandLine::Words(words) => {
            let mut words = words.iter().cloned();
            Command::new(words.next().unwrap_or_default()).args(words)
        }
        CommandLine::Line(line) => {
            let mut command = Command::new(line);
            command.shell = match &options.shell {
                Some(shell @ Shell::Program(_)) => shell.clone(),
                _ => Shell::Program("sh".into()),
            };
            command
        }
    };
    command.stdin = Stdin::Null;
    with_environment(command, options, base)
}

/// Adds the working directory, the variables and the env files. `directory` is used without `--workdir`.
fn with_environment(mut command: Command, options: &RunOptions, directory: &Path) -> Command {
    command.workdir = Some(options.workdir.as_deref().unwrap_or(directory).to_owned());
    command.envs = options.env.clone().unwrap_or_default();
    command.env_files = options.env_file.clone().unwrap_or_default();
    command
}
