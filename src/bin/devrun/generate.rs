//! `devrun completions` and `devrun man`: made from the parser, so that they are always in step with it.

use std::path::Path;

use clap::{Command, CommandFactory as _};

use crate::failure::{ExitCode, Failure};
use crate::nearest::nearest;
use crate::terminal::{self, Terminal};
use crate::verbs::CommandArgs;

/// Writes completions for a shell to standard output.
pub(crate) fn completions(shell: clap_complete::Shell, terminal: &mut Terminal) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut shown(shell), "devrun", &mut script);
    if shell == clap_complete::Shell::Zsh {
        script = String::from_utf8_lossy(&script).replacen(ZSH_BEGINS, ZSH_COMMAND, 1).into_bytes();
    }
    terminal.out_bytes(&script)?;
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
    let full = CommandArgs::command();
    let verbs = full.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned();
    // zsh would take the subcommand for COMMAND, and complete nothing behind it.
    let is_wanted = |arg: &&clap::Arg| shell != clap_complete::Shell::Zsh || !arg.is_positional();
    Command::new("devrun")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
        .args(full.get_arguments().filter(is_wanted).cloned())
        .subcommands(verbs)
}

/// Writes one manual page to standard output, or all of them into a directory.
pub(crate) fn man(
    page: Option<&str>,
    dir: Option<&Path>,
    terminal: &mut Terminal,
) -> Result<ExitCode, Failure> {
    let pages = pages();
    if let Some(dir) = dir {
        return write_all(&pages, dir, terminal);
    }
    let wanted = page.map_or("devrun".into(), |verb| format!("devrun-{verb}"));
    match pages.iter().find(|(name, _)| *name == wanted) {
        Some((name, command)) => terminal.out_bytes(&roff(name, command)?)?,
        None => return Err(no_page(page.unwrap_or_default(), &pages)),
    }
    Ok(ExitCode::Success)
}

/// `devrun`, `devrun-check`, … with what each describes.
fn pages() -> Vec<(String, Command)> {
    let mut command = CommandArgs::command();
    command.build();
    let verbs: Vec<Command> = command.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned().collect();
    let verbs = verbs
        .into_iter()
        .map(|verb| (format!("devrun-{}", verb.get_name()), verb.version(env!("CARGO_PKG_VERSION"))));
    std::iter::once(("devrun".to_owned(), command.clone())).chain(verbs).collect()
}

fn roff(name: &str, command: &Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone())
        .title(name)
        .manual("devrun manual")
        .render(&mut page)
        .map_err(|error| Failure::to_do("write the manual page", &error))?;
    Ok(page)
}

fn write_all(pages: &[(String, Command)], dir: &Path, terminal: &mut Terminal) -> Result<ExitCode, Failure> {
    std::fs::create_dir_all(dir).map_err(|error| {
        Failure::to_do(format_args!("make the directory {}", terminal::path(dir)), &error)
    })?;
    for (name, command) in pages {
        let path = dir.join(format!("{name}.1"));
        std::fs::write(&path, roff(name, command)?)
            .map_err(|error| Failure::to_do(format_args!("write {}", terminal::path(&path)), &error))?;
        terminal.say(format_args!("wrote {}", terminal::path(&path)));
    }
    Ok(ExitCode::Success)
}

fn no_page(verb: &str, pages: &[(String, Command)]) -> Failure {
    let verbs: Vec<&str> = pages.iter().filter_map(|(name, _)| name.strip_prefix("devrun-")).collect();
    let failure = Failure::new(format!("there is no manual page for `{verb}`"));
    match nearest(verb, verbs.iter().copied()) {
        Some(near) => failure.remedy(format!("did you mean `devrun man {near}`?")),
        None => failure.remedy(format!("the pages there are: {}", verbs.join(", "))),
    }
}
