//! `devrun completions`: shell completions, made from the parser.

use clap::{Command, CommandFactory as _};

use crate::cli::commands::Cli;
use crate::ui::{CliError, ExitCode, Terminal};

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

/// The first line in the completion function of zsh.
const ZSH_BEGINS: &str = "    local ret=1\n";

/// Replacement for [`ZSH_BEGINS`]: after `--`, zsh completes the words of COMMAND.
const ZSH_COMMAND: &str = "    local ret=1

    local -i separator=${words[(i)--]}
    if (( separator < CURRENT )); then
        shift $separator words
        (( CURRENT -= separator ))
        _normal
        return
    fi
";

/// The parser without hidden subcommands.
fn shown(shell: clap_complete::Shell) -> Command {
    let full = Cli::command();
    let verbs = full.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned();
    // zsh would take the subcommand for COMMAND, and complete none of its options.
    let is_wanted = |arg: &&clap::Arg| shell != clap_complete::Shell::Zsh || !arg.is_positional();
    Command::new("devrun")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
        .args(full.get_arguments().filter(is_wanted).cloned())
        .subcommands(verbs)
}
