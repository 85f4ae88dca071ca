//! `devrun init`: a commented `.watchignore` and `devrun.toml` for the project at hand. Never overwrites.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use devrun::rules::{self, EntryKind, Rules};

use crate::config::file;
use crate::project::{self, DataLike, Project};
use crate::ui::byte_string::ByteString;
use crate::ui::error::{CliError, ExitCode};
use crate::ui::escape::escape_path;
use crate::ui::style::{GOOD, NAME, styled};
use crate::ui::terminal::Terminal;

const RULES: &str = ".watchignore";
/// A file that people write because they believe that Python's watchdog reads it. Nothing does.
const UNREAD: &str = ".watchdogignore";

/// Writes a `.watchignore` and a `devrun.toml` that fit the project in `directory`.
pub(crate) fn run(directory: &Path, dry_run: bool, terminal: &mut Terminal) -> Result<ExitCode, CliError> {
    let project = project::recognise(directory);
    let data = project::data_like(directory, &project.made);
    let taken = take_over(directory)?;
    let rules = rules_text(&project, &data, &taken);
    let kept = kept_rules(directory)?;
    let config = config_text(&project, &data, kept.as_ref());
    match project.kind {
        Some(kind) => {
            let article = if kind.starts_with(['A', 'E', 'I', 'O', 'U']) { "an" } else { "a" };
            terminal.eprintln(format_args!("this is {article} {kind} project"));
        }
        None => {
            terminal.eprintln("no kind of project that devrun knows: the command is left for you to fill in")
        }
    }
    if dry_run {
        return show(&[(RULES, &rules), (file::NAME, config.as_bytes())], directory, terminal);
    }
    let wrote_rules = write_new(directory, RULES, &rules, terminal)?;
    write_new(directory, file::NAME, config.as_bytes(), terminal)?;
    if wrote_rules {
        tell_data(&data, terminal);
    } else {
        tell_watched_data(directory, &data, terminal)?;
    }
    tell(&project, terminal);
    tell_taken(directory, &taken, wrote_rules, terminal);
    Ok(ExitCode::Success)
}

/// The rules that stay, if there is a `.watchignore` already: what they say is all that can be asserted.
struct Kept {
    rules: Rules,
    directory: PathBuf,
}

impl Kept {
    fn ignores(&self, path: &str) -> bool {
        self.rules.is_ignored(&self.directory.join(path), EntryKind::File)
    }
}

fn kept_rules(directory: &Path) -> Result<Option<Kept>, CliError> {
    if directory.join(RULES).symlink_metadata().is_err() {
        return Ok(None);
    }
    let rules = Rules::new(rules::Options::new(directory)).map_err(|error| CliError::from_library(&error))?;
    Ok(Some(Kept { rules, directory: directory.to_owned() }))
}

/// The lines of a `.watchdogignore`; none if there is no such file.
fn take_over(directory: &Path) -> Result<Vec<ByteString>, CliError> {
    match std::fs::read(directory.join(UNREAD)) {
        Ok(bytes) => Ok(lines_of(&bytes).map(ByteString::new).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(CliError::failed_to(format_args!("read {UNREAD}"), &error)),
    }
}

/// The lines of a rule file, which need not be UTF-8: names of files are not.
fn lines_of(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// The lines that are rules.
fn rules_of(lines: &[ByteString]) -> impl Iterator<Item = &ByteString> {
    lines.iter().filter(|line| !line.as_bytes().trim_ascii().is_empty() && !line.as_bytes().starts_with(b"#"))
}

fn rules_text(project: &Project, data: &[DataLike], taken: &[ByteString]) -> Vec<u8> {
    let mut text = String::from(
        "# What devrun does not watch: a change here restarts nothing. The syntax is that of .gitignore, whose files\n\
         # are read too; a line here decides before one there, and `!` takes back.\n\
         # `devrun list --ignored` shows what is left out, `devrun explain PATH` says by which line.\n",
    );
    section(&mut text, "Data: what the program itself writes while it serves.");
    for data in data {
        match &data.source_inside {
            None => line(&mut text, &data.pattern),
            Some(inside) => {
                let inside = escape_path(inside);
                let _ = writeln!(
                    text,
                    "# There is code in it, such as {inside}: take the # away if it is data all the same."
                );
                let _ = writeln!(text, "# {}", data.pattern);
            }
        }
    }
    for usual in ["/downloads/", "/uploads/", "/logs/"] {
        if !data.iter().any(|data| data.pattern == usual) {
            line(&mut text, usual);
        }
    }
    for pattern in
        ["*.log", "*.sqlite", "*.sqlite3", "*.sqlite-*", "*.sqlite3-*", "*.db", "*.db-*", "*.part", "*.tmp"]
    {
        line(&mut text, pattern);
    }
    if let (Some(kind), false) = (project.kind, project.made.is_empty()) {
        section(&mut text, &format!("What the tools of a {kind} project make."));
        project.made.iter().for_each(|pattern| line(&mut text, pattern));
    }
    if rules_of(taken).next().is_some() {
        section(&mut text, &format!("Taken over from {UNREAD}, which nothing reads."));
    }
    let mut text = text.into_bytes();
    if rules_of(taken).next().is_some() {
        let known = text.clone();
        let is_new = |line: &&ByteString| !lines_of(&known).any(|known| known == line.as_bytes());
        taken.iter().filter(is_new).for_each(|line| text.extend([line.as_bytes(), b"\n"].concat()));
    }
    text
}

fn section(text: &mut String, title: &str) {
    let _ = write!(text, "\n# {title}\n");
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn config_text(project: &Project, data: &[DataLike], kept: Option<&Kept>) -> String {
    let of = project.kind.map(|kind| format!(", written for a {kind} project")).unwrap_or_default();
    let mut text = format!(
        "# What `devrun` runs here{of}. Every option of `devrun --help` is a key: its name, in the table of its group.\n\
         # What is watched is in .watchignore.\n\n\
         [watch]\n\
         # paths = [\"src\"]          # default: this directory\n\
         # ext = [\"rs\", \"toml\"]     # default: all extensions\n\n\
         [run]\n"
    );
    if let Some(build) = &project.build {
        let _ = writeln!(
            text,
            "# Runs before each start, while the old generation serves on; if it fails that one stays."
        );
        let _ = writeln!(text, "build = [{}]", quoted(build));
    }
    if project.command.is_empty() {
        text.push_str("# command = [\"./server\", \"--port\", \"{port}\"]\n");
    } else {
        let words: Vec<String> = project.command.iter().map(|word| quoted(word)).collect();
        let _ = writeln!(text, "command = [{}]", words.join(", "));
    }
    text.push_str("# stop-timeout = \"10s\"     # then the whole process tree is killed\n\n[server]\n");
    server(&mut text, project);
    check(&mut text, project, data, kept);
    text
}

fn server(text: &mut String, project: &Project) {
    if project.command.iter().any(|word| word.contains("{port}")) {
        text.push_str(
            "# Clients talk to http://localhost:8000, which devrun holds: they never see a restart, and downloads in\n\
             # flight finish. {port} is the port of each generation.\n\
             proxy = 8000\n",
        );
    } else {
        text.push_str(
            "# With this clients talk to http://localhost:8000, which devrun holds: they never see a restart. The server\n\
             # takes its own port from $PORT, or from {port} in `command`.\n\
             # proxy = 8000\n",
        );
    }
}

fn check(text: &mut String, project: &Project, data: &[DataLike], kept: Option<&Kept>) {
    text.push_str("\n# What `devrun check` asserts: run it in CI.\n[check]\n");
    let folders = data.iter().filter(|data| data.source_inside.is_none());
    let mut ignored: Vec<String> =
        folders.map(|data| format!("{}any", data.pattern.trim_start_matches('/'))).collect();
    if ignored.is_empty() {
        ignored.push("downloads/any".into());
    }
    ignored.retain(|path| kept.is_none_or(|kept| kept.ignores(path)));
    let ignored: Vec<String> = ignored.iter().map(|path| quoted(path)).collect();
    match ignored.is_empty() {
        true => text.push_str("# expect-ignored = [\"downloads/any\"]\n"),
        false => _ = writeln!(text, "expect-ignored = [{}]", ignored.join(", ")),
    }
    match project.source.as_ref().filter(|source| kept.is_none_or(|kept| !kept.ignores(source))) {
        Some(source) => {
            let _ = writeln!(text, "expect-watched = [{}]", quoted(source));
        }
        None => text.push_str("# expect-watched = [\"src/main.rs\"]\n"),
    }
}

/// A string of TOML.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn show(files: &[(&str, &[u8])], directory: &Path, terminal: &mut Terminal) -> Result<ExitCode, CliError> {
    for (name, text) in files {
        let exists = directory.join(name).symlink_metadata().is_ok();
        let what = if exists {
            "exists and would be kept; this is what a new one would be"
        } else {
            "would be written"
        };
        terminal.eprintln(format_args!("{} {what}:", styled(NAME, name)));
        terminal.print_bytes(text)?;
        terminal.println("")?;
        terminal.flush()?;
    }
    Ok(ExitCode::Success)
}

/// Writes a file that does not exist yet, and tells whether it did.
fn write_new(directory: &Path, name: &str, text: &[u8], terminal: &mut Terminal) -> Result<bool, CliError> {
    let made = std::fs::OpenOptions::new().write(true).create_new(true).open(directory.join(name));
    match made.and_then(|mut file| file.write_all(text)) {
        Ok(()) => {
            terminal.eprintln(format_args!("{} {}", styled(GOOD, "wrote"), styled(NAME, name)));
            Ok(true)
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            terminal.eprintln(format_args!(
                "kept {}, which exists: `devrun init --dry-run` shows a new one",
                styled(NAME, name)
            ));
            Ok(false)
        }
        Err(error) => Err(CliError::failed_to(format_args!("write {name}"), &error)),
    }
}

fn tell_data(data: &[DataLike], terminal: &mut Terminal) {
    for data in data {
        match &data.source_inside {
            None => terminal.eprintln(format_args!("  {} looks like data: left out", data.pattern)),
            Some(inside) => terminal.eprintln(format_args!(
                "  {} looks like data, but there is code in it ({}): watched, see {RULES}",
                data.pattern,
                escape_path(inside)
            )),
        }
    }
}

/// Data that the rules which were kept do not leave out.
fn tell_watched_data(directory: &Path, data: &[DataLike], terminal: &mut Terminal) -> Result<(), CliError> {
    let rules = Rules::new(rules::Options::new(directory)).map_err(|error| CliError::from_library(&error))?;
    let watched =
        |data: &&DataLike| !rules.is_ignored(&directory.join(data.pattern.trim_matches('/')), EntryKind::Dir);
    for data in data.iter().filter(|data| data.source_inside.is_none()).filter(watched) {
        terminal.warn(
            format_args!("{} looks like data, and is watched", data.pattern.trim_matches('/')),
            &format!("add this line to {RULES}: {}", data.pattern),
        );
    }
    Ok(())
}

fn tell(project: &Project, terminal: &mut Terminal) {
    if let Some(note) = &project.note {
        terminal.warn(note, "");
    }
    let start = if project.command.is_empty() { "devrun -- COMMAND" } else { "devrun" };
    terminal.eprintln(format_args!(
        "start it with `{start}`; `devrun list` shows what is watched, `devrun doctor` what might go wrong"
    ));
}

/// Says what became of a `.watchdogignore`.
fn tell_taken(directory: &Path, taken: &[ByteString], wrote: bool, terminal: &mut Terminal) {
    let count = rules_of(taken).count();
    if count == 0 {
        return;
    }
    if wrote {
        terminal.eprintln(format_args!(
            "took over {count} {} from {UNREAD}, which nothing reads: you can remove it now",
            if count == 1 { "rule" } else { "rules" }
        ));
        return;
    }
    let kept = std::fs::read(directory.join(RULES)).unwrap_or_default();
    let is_missing = |rule: &&ByteString| !lines_of(&kept).any(|line| line == rule.as_bytes());
    let missing: Vec<&ByteString> = rules_of(taken).filter(is_missing).collect();
    if missing.is_empty() {
        terminal.eprintln(format_args!("all rules of {UNREAD} are in {RULES} already: you can remove it"));
        return;
    }
    terminal.warn(
        format_args!("{UNREAD} is read by nothing, and {RULES} was not touched"),
        &format!("add these lines to {RULES}:"),
    );
    missing.iter().for_each(|rule| terminal.eprintln(format_args!("    {}", rule.escaped())));
}
