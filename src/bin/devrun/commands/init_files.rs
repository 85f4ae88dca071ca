//! The text of a new `.watchignore` and of a new `devrun.toml`, and the rules that a directory has before.

use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use devrun::rules::{EntryKind, Options, Rules};

use crate::project::{DataFolder, Project};
use crate::ui::{ByteString, CliError, escape_path};

/// The file that `devrun init` writes.
pub(super) const RULES: &str = ".watchignore";
/// A file that people write in the belief that Python's watchdog reads it. devrun reads it too.
pub(super) const LEGACY_RULES: &str = ".watchdogignore";

const HEADER: &str = "\
# Files that devrun does not watch: a change here does not restart the server. The syntax is that of .gitignore.
# Rules of .gitignore apply too. A line here takes precedence, and `!` watches a file again.
# `devrun list --ignored` shows the ignored files, `devrun explain PATH` shows the line that decides.
";
/// Folders that servers often write to.
const USUAL_FOLDERS: &[&str] = &["/downloads/", "/uploads/", "/logs/"];
/// Files that servers often write.
const USUAL_FILES: &[&str] =
    &["*.log", "*.sqlite", "*.sqlite3", "*.sqlite-*", "*.sqlite3-*", "*.db", "*.db-*", "*.part", "*.tmp"];

/// Rules for a project, with the rules of a `.watchdogignore` at the end.
pub(super) fn rules_text(project: &Project, folders: &[DataFolder], legacy: &LegacyRules) -> Vec<u8> {
    let mut text = String::from(HEADER);
    add_title(&mut text, "Data that the server writes while it runs.");
    folders.iter().for_each(|folder| add_folder(&mut text, folder));
    let usual_folders =
        USUAL_FOLDERS.iter().filter(|usual| !folders.iter().any(|folder| folder.pattern == **usual));
    usual_folders.chain(USUAL_FILES).for_each(|pattern| add_line(&mut text, pattern));
    if let Some(kind) = project.kind
        && !project.generated.is_empty()
    {
        add_title(&mut text, &format!("Files that the tools of a {kind} project generate."));
        project.generated.iter().for_each(|pattern| add_line(&mut text, pattern));
    }
    if legacy.rules().next().is_none() {
        return text.into_bytes();
    }
    add_title(&mut text, &format!("Copied from {LEGACY_RULES}."));
    let mut bytes = text.clone().into_bytes();
    let is_new = |line: &[u8]| !split_lines(text.as_bytes()).any(|known| known == line);
    for line in legacy.lines.iter().map(|line| line.as_bytes()).filter(|line| is_new(line)) {
        bytes.extend_from_slice(line);
        bytes.push(b'\n');
    }
    bytes
}

/// A folder with source code in it is only a comment, because it may have to be watched.
fn add_folder(text: &mut String, folder: &DataFolder) {
    match &folder.source {
        None => add_line(text, &folder.pattern),
        Some(source) => {
            let source = escape_path(source);
            add_line(
                text,
                &format!("# This folder holds code ({source}). Remove the # if it is data all the same."),
            );
            add_line(text, &format!("# {}", folder.pattern));
        }
    }
}

fn add_title(text: &mut String, title: &str) {
    let _ = write!(text, "\n# {title}\n");
}

fn add_line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

const PROXY: &str = "\
# Clients connect to http://localhost:8000, which devrun holds: they never see a restart, and downloads in flight
# finish. {port} is the port of each generation.
proxy = 8000
";
const PROXY_COMMENT: &str = "\
# With this line clients connect to http://localhost:8000, which devrun holds: they never see a restart. The server
# listens on $PORT, or on {port} in `command`.
# proxy = 8000
";

/// Settings for a project.
pub(super) fn config_text(project: &Project, folders: &[DataFolder], kept: Option<&KeptRules>) -> String {
    let origin = project.kind.map(|kind| format!(", written for a {kind} project")).unwrap_or_default();
    let mut text = format!(
        "# Settings of devrun{origin}. Each option of `devrun --help` is a key in the table of its group.\n\
         # .watchignore says which files are not watched.\n\n\
         [watch]\n\
         # paths = [\"src\"]          # default: this directory\n\
         # ext = [\"rs\", \"toml\"]     # default: all extensions\n\n\
         [run]\n"
    );
    if let Some(build) = &project.build {
        text.push_str("# Runs before each start, while the old generation serves. If it fails, the old one keeps serving.\n");
        let _ = writeln!(text, "build = [{}]", toml_string(build));
    }
    if project.command.is_empty() {
        text.push_str("# command = [\"./server\", \"--port\", \"{port}\"]\n");
    } else {
        let _ = writeln!(text, "command = [{}]", toml_strings(&project.command));
    }
    text.push_str(
        "# stop-timeout = \"10s\"     # after this time the whole process tree is killed\n\n[server]\n",
    );
    let takes_port = project.command.iter().any(|word| word.contains("{port}"));
    text.push_str(if takes_port { PROXY } else { PROXY_COMMENT });
    text.push_str("\n# What `devrun check` tests: run it in CI.\n[check]\n");
    add_expectations(&mut text, project, folders, kept);
    text
}

/// Expects only what a `.watchignore` that is kept decides.
fn add_expectations(text: &mut String, project: &Project, folders: &[DataFolder], kept: Option<&KeptRules>) {
    let is_kept_ignored =
        |path: &str, default: bool| kept.map_or(default, |kept| kept.ignore(path, EntryKind::File));
    let data = folders.iter().filter(|folder| folder.source.is_none());
    let mut ignored: Vec<String> = data.map(|folder| format!("{}/any", folder.path())).collect();
    if ignored.is_empty() {
        ignored.push("downloads/any".into());
    }
    ignored.retain(|path| is_kept_ignored(path, true));
    if ignored.is_empty() {
        text.push_str("# expect-ignored = [\"downloads/any\"]\n");
    } else {
        let _ = writeln!(text, "expect-ignored = [{}]", toml_strings(&ignored));
    }
    match project.source.as_ref().filter(|source| !is_kept_ignored(source, false)) {
        Some(source) => _ = writeln!(text, "expect-watched = [{}]", toml_string(source)),
        None => text.push_str("# expect-watched = [\"src/main.rs\"]\n"),
    }
}

fn toml_strings(texts: &[String]) -> String {
    texts.iter().map(|text| toml_string(text)).collect::<Vec<_>>().join(", ")
}

fn toml_string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The rules of a `.watchignore` that exists already. `[check]` can only assert what these rules decide.
pub(super) struct KeptRules {
    directory: PathBuf,
    rules: Rules,
}

impl KeptRules {
    /// `None` if the directory has no `.watchignore`.
    pub(super) fn read(directory: &Path) -> Result<Option<Self>, CliError> {
        if directory.join(RULES).symlink_metadata().is_err() {
            return Ok(None);
        }
        let rules = Rules::new(Options::new(directory)).map_err(|error| CliError::from_library(&error))?;
        Ok(Some(Self { directory: directory.to_owned(), rules }))
    }

    /// Whether the rules ignore a path of the project.
    pub(super) fn ignore(&self, path: &str, kind: EntryKind) -> bool {
        self.rules.is_ignored(&self.directory.join(path), kind)
    }
}

/// The rules of a `.watchdogignore`, which `devrun init` copies.
pub(super) struct LegacyRules {
    /// All lines, comments included.
    lines: Vec<ByteString>,
}

impl LegacyRules {
    /// Has no lines if the directory has no `.watchdogignore`.
    pub(super) fn read(directory: &Path) -> Result<Self, CliError> {
        match fs::read(directory.join(LEGACY_RULES)) {
            Ok(bytes) => Ok(Self { lines: split_lines(&bytes).map(ByteString::new).collect() }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self { lines: Vec::new() }),
            Err(error) => Err(CliError::failed_to(format_args!("read {LEGACY_RULES}"), &error)),
        }
    }

    /// The lines that are rules.
    pub(super) fn rules(&self) -> impl Iterator<Item = &ByteString> {
        self.lines.iter().filter(|line| {
            let line = line.as_bytes();
            !line.trim_ascii().is_empty() && !line.starts_with(b"#")
        })
    }
}

/// The lines of a rule file. They need not be UTF-8, because names of files are not.
pub(super) fn split_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}
