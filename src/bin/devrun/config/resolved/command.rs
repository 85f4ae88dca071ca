//! COMMAND and the builds, as commands of the library.

use std::ffi::OsString;
use std::path::Path;

use devrun::Command;
use devrun::supervise::{self, Shell};

use crate::cli::args;
use crate::cli::choices;
use crate::cli::values::{CommandLine, ShellChoice};
use crate::ui::error::CliError;

/// COMMAND. That of the command line runs in `directory`, that of devrun.toml in `base`. `None` if there is none.
///
/// # Errors
/// A [`CliError`] if COMMAND is an empty word.
pub(crate) fn command(
    options: &args::RunOptions,
    typed: &[OsString],
    directory: &Path,
    base: &Path,
) -> Result<Option<Command>, CliError> {
    let mut command = match (typed.split_first(), &options.command) {
        (Some((program, args)), _) => {
            if program.is_empty() {
                return Err(CliError::new("the COMMAND after `--` is empty")
                    .with_remedy("write a program, such as: devrun -- cargo run"));
            }
            let mut command = Command::new(program).args(args);
            command.workdir = Some(directory.to_owned());
            command
        }
        (None, Some(line)) => command_from_file(line, options, base),
        (None, None) => return Ok(None),
    };
    if let Some(ShellChoice::Program(shell)) = &options.shell {
        command.shell = Shell::Program(shell.clone());
    }
    let mut command = with_variables(command, options);
    command.stdin = match options.stdin {
        None | Some(choices::Stdin::Pipe) => supervise::Stdin::Pipe,
        Some(choices::Stdin::Null) => supervise::Stdin::Null,
        Some(choices::Stdin::Inherit) => supervise::Stdin::Inherit,
    };
    Ok(Some(command))
}

/// A command of devrun.toml. It reads no input. A line runs in the shell of `--shell`, else in `sh`.
pub(crate) fn command_from_file(line: &CommandLine, options: &args::RunOptions, base: &Path) -> Command {
    let mut command = match line {
        CommandLine::Words(words) => {
            let (program, args) = words
                .split_first()
                .map_or((OsString::new(), &[][..]), |(program, args)| (program.clone(), args));
            Command::new(program).args(args)
        }
        CommandLine::Line(line) => {
            let mut command = Command::new(line);
            command.shell = match &options.shell {
                Some(ShellChoice::Program(shell)) => Shell::Program(shell.clone()),
                _ => Shell::Program("sh".into()),
            };
            command
        }
    };
    command.workdir = Some(base.to_owned());
    command.stdin = supervise::Stdin::Null;
    command
}

/// Adds the working directory, the variables and the env files of the options.
pub(crate) fn with_variables(mut command: Command, options: &args::RunOptions) -> Command {
    if let Some(workdir) = &options.workdir {
        command.workdir = Some(workdir.clone());
    }
    command.envs =
        options.env.iter().flatten().map(|variable| (variable.key.clone(), variable.value.clone())).collect();
    command.env_files = options.env_file.clone().unwrap_or_default();
    command
}
