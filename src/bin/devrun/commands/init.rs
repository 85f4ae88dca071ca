//! `devrun init`: writes a commented `.watchignore` and `devrun.toml` for the project, prints each step and the next
//! commands to use. It never overwrites a file.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use devrun::rules::EntryKind;

use super::init_files::{KeptRules, LEGACY_RULES, LegacyRules, RULES, config_text, rules_text, split_lines};
use crate::config::FILE_NAME;
use crate::project::{self, DataFolder, Project};
use crate::ui::{ByteString, CliError, ExitCode, GOOD, NAME, Terminal, count, escape_path, styled};

/// Writes a `.watchignore` and a `devrun.toml` for the project in `directory`, or only shows them.
pub(crate) fn run(directory: &Path, dry_run: bool, terminal: &mut Terminal) -> Result<ExitCode, CliError> {
    let project = project::recognise(directory);
    let folders = project::data_folders(directory, &project);
    let legacy = LegacyRules::read(directory)?;
    let kept = KeptRules::read(directory)?;
    let rules = rules_text(&project, &folders, &legacy);
    let config = config_text(&project, &folders, kept.as_ref());
    print_kind(&project, terminal);
    if dry_run {
        show(directory, RULES, &rules, terminal)?;
        show(directory, FILE_NAME, config.as_bytes(), terminal)?;
        return Ok(ExitCode::Success);
    }
    let wrote_rules = write_new(directory, RULES, &rules, terminal)?;
    write_new(directory, FILE_NAME, config.as_bytes(), terminal)?;
    match kept {
        Some(kept) => warn_of_watched_data(&kept, &folders, terminal),
        None => print_folders(&folders, terminal),
    }
    print_next_steps(&project, terminal);
    if wrote_rules {
        print_copied(&legacy, terminal);
    } else {
        print_missing(directory, &legacy, terminal);
    }
    Ok(ExitCode::Success)
}

fn print_kind(project: &Project, terminal: &mut Terminal) {
    match project.kind {
        Some(kind) => {
            let article = if kind.starts_with(['A', 'E', 'I', 'O', 'U']) { "an" } else { "a" };
            terminal.eprintln(format_args!("this is {article} {kind} project"));
        }
        None => terminal.eprintln("unknown kind of project: fill in `command` in devrun.toml"),
    }
}

/// Prints the text that a new file would have.
fn show(directory: &Path, name: &str, text: &[u8], terminal: &mut Terminal) -> Result<(), CliError> {
    let exists = directory.join(name).symlink_metadata().is_ok();
    let what = if exists { "exists and would be kept; a new one would be" } else { "would be written" };
    terminal.eprintln(format_args!("{} {what}:", styled(NAME, name)));
    terminal.print_bytes(text)?;
    terminal.println("")?;
    terminal.flush()
}

/// Writes a file unless it exists. Returns whether it was written.
fn write_new(directory: &Path, name: &str, text: &[u8], terminal: &mut Terminal) -> Result<bool, CliError> {
    let file = OpenOptions::new().write(true).create_new(true).open(directory.join(name));
    match file.and_then(|mut file| file.write_all(text)) {
        Ok(()) => {
            terminal.eprintln(format_args!("{} {}", styled(GOOD, "wrote"), styled(NAME, name)));
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            terminal.eprintln(format_args!(
                "kept {}, which exists: `devrun init --dry-run` shows a new one",
                styled(NAME, name)
            ));
            Ok(false)
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

fn warn_of_watched_data(kept: &KeptRules, folders: &[DataFolder], terminal: &mut Terminal) {
    for folder in folders {
        if folder.source.is_none() && !kept.ignore(folder.path(), EntryKind::Dir) {
            terminal.warn(
                format_args!("{} looks like data and is watched", folder.path()),
                &format!("add this line to {RULES}: {}", folder.pattern),
            );
        }
    }
}

fn print_next_steps(project: &Project, terminal: &mut Terminal) {
    if let Some(note) = &project.note {
        terminal.warn(note, "");
    }
    let start = if project.command.is_empty() { "devrun -- COMMAND" } else { "devrun" };
    terminal.eprintln(format_args!(
        "start it with `{start}`; `devrun list` shows the watched files, `devrun doctor` finds problems"
    ));
}

fn print_copied(legacy: &LegacyRules, terminal: &mut Terminal) {
    let rules = legacy.rules().count();
    if rules > 0 {
        let rules = count(rules, "rule");
        terminal.eprintln(format_args!("copied {rules} from {LEGACY_RULES}: you can remove it now"));
    }
}

/// Prints the rules of a `.watchdogignore` that a kept `.watchignore` does not have.
fn print_missing(directory: &Path, legacy: &LegacyRules, terminal: &mut Terminal) {
    let kept = std::fs::read(directory.join(RULES)).unwrap_or_default();
    let is_missing = |rule: &&ByteString| !split_lines(&kept).any(|line| line == rule.as_bytes());
    let missing: Vec<&ByteString> = legacy.rules().filter(is_missing).collect();
    if legacy.rules().next().is_none() {
        return;
    }
    if missing.is_empty() {
        terminal.eprintln(format_args!("{RULES} has all rules of {LEGACY_RULES} already: you can remove it"));
        return;
    }
    terminal.eprintln(format_args!(
        "devrun reads {LEGACY_RULES} too; to have one file, add these lines to {RULES} and remove it:"
    ));
    missing.iter().for_each(|rule| terminal.eprintln(format_args!("    {}", rule.escaped())));
}
