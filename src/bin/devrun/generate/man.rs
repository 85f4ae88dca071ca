//! `devrun man`: manual pages, made from the parser.

use std::path::Path;

use clap::{Command, CommandFactory as _};

use crate::cli::commands::Cli;
use crate::cli::suggest::nearest;
use crate::ui::{CliError, ExitCode, Terminal, escape_path};

/// Writes one manual page to standard output, or all of them into a directory.
pub(crate) fn write(
    page: Option<&str>,
    dir: Option<&Path>,
    terminal: &mut Terminal,
) -> Result<ExitCode, CliError> {
    let pages = pages();
    if let Some(dir) = dir {
        return write_all(&pages, dir, terminal);
    }
    let wanted = page.map_or("devrun".into(), |verb| format!("devrun-{verb}"));
    match pages.iter().find(|(name, _)| *name == wanted) {
        Some((name, command)) => terminal.print_bytes(&roff(name, command)?)?,
        None => return Err(no_page(page.unwrap_or_default(), &pages)),
    }
    Ok(ExitCode::Success)
}

/// The name and the command of each page: `devrun`, `devrun-check`, …
fn pages() -> Vec<(String, Command)> {
    let mut command = Cli::command();
    command.build();
    let verbs: Vec<Command> = command.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned().collect();
    let verbs = verbs
        .into_iter()
        .map(|verb| (format!("devrun-{}", verb.get_name()), verb.version(env!("CARGO_PKG_VERSION"))));
    std::iter::once(("devrun".to_owned(), command.clone())).chain(verbs).collect()
}

fn roff(name: &str, command: &Command) -> Result<Vec<u8>, CliError> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone())
        .title(name)
        .manual("devrun manual")
        .render(&mut page)
        .map_err(|error| CliError::failed_to("write the manual page", &error))?;
    Ok(page)
}

fn write_all(pages: &[(String, Command)], dir: &Path, terminal: &mut Terminal) -> Result<ExitCode, CliError> {
    std::fs::create_dir_all(dir).map_err(|error| {
        CliError::failed_to(format_args!("create the directory {}", escape_path(dir)), &error)
    })?;
    for (name, command) in pages {
        let path = dir.join(format!("{name}.1"));
        std::fs::write(&path, roff(name, command)?)
            .map_err(|error| CliError::failed_to(format_args!("write {}", escape_path(&path)), &error))?;
        terminal.eprintln(format_args!("wrote {}", escape_path(&path)));
    }
    Ok(ExitCode::Success)
}

fn no_page(verb: &str, pages: &[(String, Command)]) -> CliError {
    let verbs: Vec<&str> = pages.iter().filter_map(|(name, _)| name.strip_prefix("devrun-")).collect();
    let failure = CliError::new(format!("there is no manual page for `{verb}`"));
    match nearest(verb, verbs.iter().copied()) {
        Some(near) => failure.with_remedy(format!("did you mean `devrun man {near}`?")),
        None => failure.with_remedy(format!("the pages are: {}", verbs.join(", "))),
    }
}
