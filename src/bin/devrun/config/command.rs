//! COMMAND and the builds, settled: their words, shell, directory and variables. Runs nothing.

use std::ffi::OsString;
use std::path::Path;

use devrun::Command;
use devrun::supervise::{self, Shell};

use crate::cli::args;
use crate::cli::choices;
use crate::cli::values::{CommandLine, ShellChoice};
use crate::ui::error::CliError;

/// COMMAND as typed, in the directory where it was typed; else that of devrun.toml, in the project's directory.
pub(crate) fn command_of(
    layer: &args::Run,
    typed: &[OsString],
    directory: &Path,
    base: &Path,
) -> Result<Option<Command>, CliError> {
    let mut command = match (typed.split_first(), &layer.command) {
        (Some((program, args)), _) => {
            if program.is_empty() {
                return Err(CliError::new("the COMMAND after `--` is empty")
                    .with_remedy("such as: devrun -- cargo run"));
            }
            let mut command = Command::new(program).args(args);
            command.workdir = Some(directory.to_owned());
            command
        }
        (None, Some(line)) => of_line(line, layer, base),
        (None, None) => return Ok(None),
    };
    if let Some(ShellChoice::Program(shell)) = &layer.shell {
        command.shell = Shell::Program(shell.clone());
    }
    let mut command = with_surroundings(command, layer);
    command.stdin = match layer.stdin {
        None | Some(choices::Stdin::Pipe) => supervise::Stdin::Pipe,
        Some(choices::Stdin::Null) => supervise::Stdin::Null,
        Some(choices::Stdin::Inherit) => supervise::Stdin::Inherit,
    };
    Ok(Some(command))
}

/// A command that was written down: words are executed, a line is given to the shell.
pub(crate) fn of_line(line: &CommandLine, layer: &args::Run, base: &Path) -> Command {
    let mut command = match line {
        CommandLine::Words(words) => {
            let (program, args) = words
                .split_first()
                .map_or((OsString::new(), &[][..]), |(program, args)| (program.clone(), args));
            Command::new(program).args(args)
        }
        CommandLine::Line(line) => {
            let mut command = Command::new(line);
            command.shell = match &layer.shell {
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

/// Its directory and its variables.
pub(crate) fn with_surroundings(mut command: Command, layer: &args::Run) -> Command {
    if let Some(workdir) = &layer.workdir {
        command.workdir = Some(workdir.clone());
    }
    command.envs =
        layer.env.iter().flatten().map(|variable| (variable.key.clone(), variable.value.clone())).collect();
    command.env_files = layer.env_file.clone().unwrap_or_default();
    command
}
