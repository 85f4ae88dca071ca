//! `devrun completions`: made from the parser, so that they are always in step with it.

use clap::{Command, CommandFactory as _};

use crate::cli::commands::Cli;
use crate::ui::error::{CliError, ExitCode};
use crate::ui::terminal::Terminal;

/// Writes completions for a shell to standard output.
pub(crate) fn write(shell: clap_complete::Shell, terminal: &mut Terminal) -> Result<ExitCode, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut shown(shell), "devrun", &mut script);
    if shell == clap_complete::Shell::Zsh {
        script = String::from_utf8_lossy(&script).replacen(ZSH_BEGINS, ZSH_COMMAND, 1).into_bytes();
    }
    terminal.print_bytes(&script)?;
    Ok(ExitCode::Success)
}

/// How the function of zsh begins.
const ZSH_BEGINS: &str = "    local ret=1\n";

/// What stands behind `--` is a command line of its own, with the completions of that command.
const ZSH_COMMAND: &str = "    local ret=1

    local -i separator=${words[(i)--]}
    if (( separator < CURRENT )); then
        shift $separator words
        (( CURRENT -= separator ))
        _normal
        return
    fi
";

/// The parser without the subcommands that help does not show either.
fn shown(shell: clap_complete::Shell) -> Command {
    let full = Cli::command();
    let verbs = full.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned();
    // zsh would take the subcommand for COMMAND, and complete nothing behind it.
    let is_wanted = |arg: &&clap::Arg| shell != clap_complete::Shell::Zsh || !arg.is_positional();
    Command::new("devrun")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
        .args(full.get_arguments().filter(is_wanted).cloned())
        .subcommands(verbs)
}
