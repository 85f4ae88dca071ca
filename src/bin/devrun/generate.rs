//! Files made from the parser: manual pages, and the files of docs/reference. A test compares those
//! files with what is made here.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, Command, CommandFactory as _};
use serde_json::{Map, Value, json};

use crate::cli::commands::Cli;
use crate::cli::parse::nearest;
use crate::config::environment;
use crate::config::key::{Key, Table};
use crate::ui::{CliError, ExitCode, Terminal, escape_path};

/// Writes one manual page to standard output, or all of them into a directory.
pub(crate) fn man(
    page: Option<&str>,
    dir: Option<&Path>,
    terminal: &mut Terminal,
) -> Result<ExitCode, CliError> {
    let pages = pages();
    if let Some(dir) = dir {
        return write_all(&pages, dir, terminal);
    }
    let verb = page.unwrap_or_default();
    let wanted = if page.is_some() { format!("devrun-{verb}") } else { "devrun".into() };
    if let Some((name, command)) = pages.iter().find(|(name, _)| *name == wanted) {
        return terminal.print_bytes(&roff(name, command)?).map(|()| ExitCode::Success);
    }
    let verbs: Vec<&str> = pages.iter().filter_map(|(name, _)| name.strip_prefix("devrun-")).collect();
    let error = CliError::new(format!("there is no manual page for `{verb}`"));
    Err(match nearest(verb, verbs.iter().copied()) {
        Some(near) => error.with_remedy(format!("did you mean `devrun man {near}`?")),
        None => error.with_remedy(format!("the pages are: {}", verbs.join(", "))),
    })
}

/// The name and the command of each page: `devrun`, `devrun-check`, …
fn pages() -> Vec<(String, Command)> {
    let mut command = Cli::command();
    command.build();
    let mut pages = vec![("devrun".to_owned(), command.clone())];
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let verb = verb.clone().version(env!("CARGO_PKG_VERSION"));
        pages.push((format!("devrun-{}", verb.get_name()), verb));
    }
    pages
}

fn roff(name: &str, command: &Command) -> Result<Vec<u8>, CliError> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone())
        .title(name)
        .source(concat!("devrun ", env!("CARGO_PKG_VERSION")))
        .manual("devrun manual")
        .render(&mut page)
        .map_err(|error| CliError::failed_to("write the manual page", &error))?;
    page.extend(further_sections(name).into_bytes());
    Ok(page)
}

/// Environment variables: the name, and what it does.
const VARIABLES: &[(&str, &str)] = &[
    ("DEVRUN_OPTION", "Value of --option, such as DEVRUN_STOP_TIMEOUT=5s. The command line overrides it."),
    ("DEVRUN_LOG", "Filter of the log, such as devrun::watch=debug. Overrides -v."),
    ("NO_COLOR", "If it is set, output has no colour."),
    (
        "DEVRUN, DEVRUN_GENERATION, DEVRUN_CHANGED",
        "Set for COMMAND: 1, the number of its run, and the changed paths.",
    ),
    ("PORT", "Set for COMMAND with --proxy: the port on which it has to listen."),
];
/// Files: the name, and what it is for.
const FILES: &[(&str, &str)] = &[
    (
        "devrun.toml",
        "Options and profiles of the project, in the working directory or above it in the repository.",
    ),
    (
        ".watchignore",
        "Ignore rules in the syntax of gitignore(5), in any directory. A .watchdogignore ranks below it.",
    ),
    (
        ".gitignore, .git/info/exclude",
        "Git's ignore rules. They rank below .watchignore, and core.excludesFile below them.",
    ),
];

/// The sections that clap_mangen does not write, as roff(7).
fn further_sections(name: &str) -> String {
    let statuses: &[(&str, &str)] = match name {
        "devrun" => &[
            ("0", "Stopped by the user."),
            ("2", "Usage, configuration or I/O error."),
            ("126, 127", "COMMAND is not executable, or was not found."),
            (
                "other",
                "The status of COMMAND, with --on-exit quit. A signal that stops devrun is also the signal that ends it.",
            ),
        ],
        "devrun-check" => &[
            ("0", "No findings that fail the check."),
            ("1", "Errors, and with --strict warnings."),
            ("2", "The check could not run."),
        ],
        "devrun-explain" => &[("0", "Some path is ignored."), ("1", "No path is ignored."), ("2", "Error.")],
        "devrun-doctor" => &[("0", "No problems."), ("1", "Problems."), ("2", "Error.")],
        _ => &[("0", "Success."), ("2", "Error.")],
    };
    let mut text = String::new();
    for (title, entries) in [("ENVIRONMENT", VARIABLES), ("FILES", FILES), ("EXIT STATUS", statuses)] {
        let _ = writeln!(text, ".SH \"{title}\"");
        for (term, meaning) in entries {
            let escape = |text: &str| text.replace('-', "\\-");
            let _ = writeln!(text, ".TP\n\\fB\\&{}\\fR\n\\&{}", escape(term), escape(meaning));
        }
    }
    let others = pages().into_iter().map(|(other, _)| other).filter(|other| other != name);
    let others: Vec<_> = others.map(|other| format!("\\fB{}\\fR(1)", other.replace('-', "\\-"))).collect();
    let _ = writeln!(text, ".SH \"SEE ALSO\"\n{}, \\fBgitignore\\fR(5)", others.join(", "));
    text
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

const NOTE: &str = "<!-- Generated by `devrun reference`; `SNAPSHOTS=overwrite cargo test --test it reference` updates it. -->\n";

/// The page docs/reference/cli.md.
pub(crate) fn command_line() -> String {
    let mut command = Cli::command();
    command.build();
    let mut page = format!("{NOTE}\n# Command line\n");
    section(&mut page, &command, "devrun");
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        section(&mut page, verb, &format!("devrun {}", verb.get_name()));
    }
    page
}

fn section(page: &mut String, command: &Command, name: &str) {
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").replace("\n       ", "\n");
    let _ = write!(page, "\n## `{name}`\n\n{}\n\n```text\n{usage}\n```\n", sentence(&about));
    // Every command has --help, so the page does not repeat it.
    let is_shown = |arg: &&Arg| !arg.is_hide_set() && !matches!(arg.get_id().as_str(), "help" | "version");
    for argument in command.get_positionals().filter(is_shown) {
        entry(page, argument);
    }
    let mut heading = None;
    // `get_opts` would leave out the flags.
    for option in command.get_arguments().filter(|arg| !arg.is_positional()).filter(is_shown) {
        if option.get_help_heading() != heading {
            heading = option.get_help_heading();
            let _ = write!(page, "\n### {}\n", heading.unwrap_or("Options"));
        }
        entry(page, option);
    }
    if let Some(after) = command.get_after_long_help().or(command.get_after_help()) {
        let _ = write!(page, "\n```text\n{after}\n```\n");
    }
}

fn entry(page: &mut String, option: &Arg) {
    let help = option.get_long_help().or(option.get_help()).map(ToString::to_string).unwrap_or_default();
    let _ = write!(page, "\n#### `{}`\n\n{}\n", spelled(option), sentence(&help));
}

/// `-w, --watch PATH`
fn spelled(option: &Arg) -> String {
    let short = option.get_short().map(|short| format!("-{short}"));
    let long = option.get_long().map(|long| format!("--{long}"));
    let names: Vec<String> = short.into_iter().chain(long).collect();
    let takes_value = option.get_action().takes_values();
    let value = match option.get_value_names().filter(|_| takes_value).and_then(<[_]>::first) {
        None => String::new(),
        Some(value) if option.is_require_equals_set() => format!("[={value}]"),
        Some(value) if names.is_empty() => value.to_string(),
        Some(value) => format!(" {value}"),
    };
    format!("{}{value}", names.join(", "))
}

/// Adds the full stop that the first line of a help text lacks.
fn sentence(help: &str) -> String {
    match help.split_once("\n\n") {
        Some((first, rest)) => format!("{}\n\n{rest}", stopped(first)),
        None => stopped(help),
    }
}

fn stopped(line: &str) -> String {
    if line.is_empty() || line.ends_with(['.', '`']) { line.to_owned() } else { format!("{line}.") }
}

/// The page docs/reference/configuration.md.
pub(crate) fn configuration() -> String {
    let mut page = format!(
        "{NOTE}\n# Keys of devrun.toml\n\nEach key and each variable has the name of its option. \
         How devrun finds and merges the file: [configuration](../configuration.md). \
         For editors: [the JSON schema](devrun.schema.json).\n"
    );
    for table in Table::all() {
        let _ = write!(page, "\n## `[{}]`\n\n", table.name);
        page.push_str("| key | value | option | variable | |\n|---|---|---|---|---|\n");
        for key in &table.keys {
            row(&mut page, key);
        }
    }
    page
}

fn row(page: &mut String, key: &Key) {
    let help = key.description();
    let long = key.option.get_long();
    let spelled = long.map_or("after `--`".into(), |long| format!("`--{long}`"));
    let variable = long.and_then(environment::variable).map(|name| format!("`{name}`")).unwrap_or_default();
    let (_, kind, _) = key.kind.describe();
    let _ = writeln!(
        page,
        "| `{}` | {} | {spelled} | {variable} | {} |",
        key.name,
        kind.replace('|', "\\|"),
        stopped(&help).replace('|', "\\|")
    );
}

/// The JSON schema of devrun.toml, for editors (draft 2020-12).
pub(crate) fn schema() -> String {
    let mut tables = Map::new();
    for table in Table::all() {
        tables.insert(table.name.into(), table_schema(&table));
    }
    let layer = json!({ "type": "object", "properties": tables, "additionalProperties": false });
    let mut top = tables;
    top.insert(
        "profile".into(),
        json!({
            "type": "object",
            "description": "Tables that override the others with --profile NAME.",
            "additionalProperties": { "$ref": "#/$defs/layer" },
        }),
    );
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "devrun.toml",
        "description": "The configuration of devrun.",
        "type": "object",
        "properties": top,
        "additionalProperties": false,
        "$defs": { "layer": layer },
    });
    format!("{schema:#}\n")
}

fn table_schema(table: &Table) -> Value {
    let mut properties = Map::new();
    for key in &table.keys {
        let (_, _, mut schema) = key.kind.describe();
        schema["description"] = key.description().into();
        properties.insert(key.name.clone(), schema);
    }
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}
