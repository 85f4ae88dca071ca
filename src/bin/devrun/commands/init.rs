//! `devrun init`: writes a commented `.watchignore` and `devrun.toml` for the project, prints each step and the next
//! commands to use. It never overwrites a file.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use devrun::rules::EntryKind;

use super::init_files::{ProjectRules, RULES, UNKNOWN, config_text, rules_text};
use crate::config::FILE_NAME;
use crate::project::{self, DataFolder, Project};
use crate::ui::{CliError, ExitCode, GOOD, NAME, Terminal, escape_path, styled};

/// Writes a `.watchignore` and a `devrun.toml` for the project in `directory`, or only shows them.
pub(crate) fn run(directory: &Path, dry_run: bool, terminal: &mut Terminal) -> Result<ExitCode, CliError> {
    let project = project::recognise(directory);
    let tracked = project::tracked(directory).unwrap_or_else(|late| {
        terminal.warn(late, "check that the new .watchignore ignores no file under version control");
        Vec::new()
    });
    let folders = project::data_folders(directory, &project, &tracked);
    let known = ProjectRules::read(directory, tracked)?;
    let rules = rules_text(&project, &folders, &known)?;
    let config = config_text(&project, &folders, &known);
    print_kind(&project, terminal);
    if dry_run {
        show(directory, RULES, &rules, terminal)?;
        show(directory, FILE_NAME, &config, terminal)?;
    } else {
        write_new(directory, RULES, &rules, terminal)?;
        write_new(directory, FILE_NAME, &config, terminal)?;
    }
    if known.are_kept() {
        warn_of_watched_data(&known, &folders, terminal);
    } else {
        print_folders(&folders, terminal);
    }
    print_next_steps(&project, terminal);
    Ok(ExitCode::Success)
}

fn print_kind(project: &Project, terminal: &mut Terminal) {
    match project.kind {
        Some(kind) => {
            let article = if kind.starts_with(['A', 'E', 'I', 'O', 'U']) { "an" } else { "a" };
            terminal.eprintln(format_args!("this is {article} {kind} project"));
        }
        None => terminal.eprintln("unknown kind of project"),
    }
    if project.command.is_empty() {
        let missing = project.missing.as_deref().unwrap_or(UNKNOWN);
        terminal.eprintln(format_args!("fill in `command` in {FILE_NAME}: {missing}"));
    } else {
        let at = project.workdir.as_ref().map(|workdir| format!(" in {workdir}")).unwrap_or_default();
        terminal.eprintln(format_args!("`{}` runs it{at}", project.command));
    }
}

/// Prints the text that a new file would have.
fn show(directory: &Path, name: &str, text: &str, terminal: &mut Terminal) -> Result<(), CliError> {
    let exists = directory.join(name).symlink_metadata().is_ok();
    let what = if exists { "exists and would be kept; a new one would be" } else { "would be written" };
    terminal.eprintln(format_args!("{} {what}:", styled(NAME, name)));
    terminal.print(text)?;
    terminal.println("")?;
    terminal.flush()
}

/// Writes a file unless it exists.
fn write_new(directory: &Path, name: &str, text: &str, terminal: &mut Terminal) -> Result<(), CliError> {
    let file = OpenOptions::new().write(true).create_new(true).open(directory.join(name));
    match file.and_then(|mut file| file.write_all(text.as_bytes())) {
        Ok(()) => {
            terminal.eprintln(format_args!("{} {}", styled(GOOD, "wrote"), styled(NAME, name)));
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            terminal.eprintln(format_args!(
                "kept {}, which exists: `devrun init --dry-run` shows a new one",
                styled(NAME, name)
            ));
            Ok(())
        }
        Err(error) => Err(CliError::failed_to(format_args!("write {name}"), &error)),
    }
}

fn print_folders(folders: &[DataFolder], terminal: &mut Terminal) {
    for folder in folders {
        match &folder.source {
            None => terminal.eprintln(format_args!("  {} looks like data: ignored", folder.pattern)),
            Some(source) => terminal.eprintln(format_args!(
                "  {} looks like data but holds code ({}): watched, see {RULES}",
                folder.pattern,
                escape_path(source)
            )),
        }
    }
}

fn warn_of_watched_data(known: &ProjectRules, folders: &[DataFolder], terminal: &mut Terminal) {
    for folder in folders {
        if folder.source.is_none() && !known.ignore(&format!("{}/any", folder.path()), EntryKind::File) {
            terminal.warn(
                format_args!("{} looks like data and is watched", folder.path()),
                &format!("add this line to {RULES}: {}", folder.pattern),
            );
        }
    }
}

fn print_next_steps(project: &Project, terminal: &mut Terminal) {
    project.notes.iter().for_each(|note| terminal.eprintln(format_args!("note: {note}")));
    let start = if project.command.is_empty() { "devrun -- COMMAND" } else { "devrun" };
    terminal.eprintln(format_args!(
        "start it with `{start}`; `devrun list` shows the watched files, `devrun doctor` finds problems"
    ));
}
