//! The text of a new `.watchignore` and of a new `devrun.toml`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use devrun::rules::{EntryKind, Options, Rules};

use crate::project::{DataFolder, Project, SHELL_SIGNS};
use crate::ui::{CliError, escape_path};

/// The file that `devrun init` writes.
pub(super) const RULES: &str = ".watchignore";

const HEADER: &str = "\
# Files that devrun does not watch: a change here does not restart the server. The syntax is that of .gitignore.
# Rules of .gitignore apply too. A line here takes precedence, and `!` watches a file again.
# `devrun list --ignored` shows the ignored files, `devrun explain PATH` shows the line that decides.
";
/// Folders that servers often write to. The built-in rules have the files.
const USUAL_FOLDERS: &[&str] = &["/downloads/", "/uploads/", "/logs/"];

/// Rules for a project: only rules that add something to the directory's rules and that hide no file under version
/// control, so `devrun check` reports nothing about them.
pub(super) fn rules_text(
    project: &Project,
    folders: &[DataFolder],
    rules: &ProjectRules,
) -> Result<String, CliError> {
    let mut text = String::from(HEADER);
    add_title(&mut text, "Data that the server writes while it runs.");
    for folder in folders {
        if rules.lack(&folder.pattern)? {
            add_folder(&mut text, folder);
        }
    }
    for usual in USUAL_FOLDERS {
        if !folders.iter().any(|folder| folder.pattern == *usual) && rules.lack(usual)? {
            add_line(&mut text, usual);
        }
    }
    let mut generated = Vec::new();
    for pattern in &project.generated {
        if rules.lack(pattern)? {
            generated.push(pattern);
        }
    }
    if let (Some(kind), false) = (project.kind, generated.is_empty()) {
        add_title(&mut text, &format!("Files that the tools of a {kind} project generate."));
        generated.iter().for_each(|pattern| add_line(&mut text, pattern));
    }
    Ok(text)
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

/// Settings for a project.
pub(super) fn config_text(project: &Project, folders: &[DataFolder], rules: &ProjectRules) -> String {
    let origin = project.kind.map(|kind| format!(", written for a {kind} project")).unwrap_or_default();
    let mut text = format!(
        "# Settings of devrun{origin}. Each option of `devrun --help` is a key in the table of its group.\n\
         # .watchignore says which files are not watched.\n\n[watch]\n"
    );
    if project.paths.is_empty() {
        text.push_str("# paths = [\"src\"]          # default: this directory\n");
    } else {
        let _ = writeln!(text, "paths = [{}]", toml_strings(&project.paths));
    }
    text.push_str("# ext = [\"rs\", \"toml\"]     # default: all extensions\n\n[run]\n");
    if let Some(workdir) = &project.workdir {
        let _ = writeln!(text, "workdir = {}", toml_string(workdir));
    }
    if let Some(build) = &project.build {
        text.push_str("# Runs before each start, while the old generation serves. If it fails, the old one keeps serving.\n");
        let _ = writeln!(text, "build = [{}]", toml_string(build));
    }
    let missing = project.missing.as_deref().unwrap_or(UNKNOWN);
    let _ = match project.command.as_str() {
        "" => writeln!(
            text,
            "# Fill in the command: {missing}.\n# command = [\"./server\", \"--port\", \"{{port}}\"]"
        ),
        line if line.contains(SHELL_SIGNS) => writeln!(text, "command = {}", toml_string(line)),
        line => {
            let words: Vec<String> = line.split_whitespace().map(ToOwned::to_owned).collect();
            writeln!(text, "command = [{}]", toml_strings(&words))
        }
    };
    text.push_str(
        "# stop-timeout = \"10s\"     # after this time the whole process tree is killed\n\n[server]\n",
    );
    add_server(&mut text, project);
    text.push_str("\n# What `devrun check` tests: run it in CI.\n[check]\n");
    add_expectations(&mut text, project, folders, rules);
    text
}

/// The reason why the command of an unknown kind of project is not filled in.
pub(super) const UNKNOWN: &str = "no file here says how this project is run";

fn add_server(text: &mut String, project: &Project) {
    let _ = match project.port {
        Some(port) => {
            let own = if project.command.contains("{port}") { "{port}" } else { "$PORT" };
            writeln!(
                text,
                "# Clients connect to http://localhost:{port}, which devrun holds: they never see a restart, and downloads in\n\
                 # flight finish. {own} is the port of each generation.\nproxy = {port}"
            )
        }
        None => writeln!(
            text,
            "# With this line clients connect to http://localhost:8000, which devrun holds: they never see a restart. The\n\
             # server listens on $PORT, or on {{port}} in `command`.\n# proxy = 8000"
        ),
    };
    if project.takes_turns {
        text.push_str("# Two generations of this tool cannot run at the same time.\nno-overlap = true\n");
    }
}

/// Expects only what the rules decide.
fn add_expectations(text: &mut String, project: &Project, folders: &[DataFolder], rules: &ProjectRules) {
    let data = folders.iter().filter(|folder| folder.source.is_none());
    let mut ignored: Vec<String> = data.map(|folder| format!("{}/any", folder.path())).collect();
    if ignored.is_empty() {
        ignored.push("downloads/any".into());
    }
    ignored.retain(|path| rules.will_ignore(path));
    if ignored.is_empty() {
        text.push_str("# expect-ignored = [\"downloads/any\"]\n");
    } else {
        let _ = writeln!(text, "expect-ignored = [{}]", toml_strings(&ignored));
    }
    match project.source.as_ref().filter(|source| !rules.ignore(source, EntryKind::File)) {
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

/// The rules that a directory has already, and its files under version control.
pub(super) struct ProjectRules {
    directory: PathBuf,
    rules: Rules,
    /// The rules without a `.watchignore`.
    others: Rules,
    tracked: Vec<PathBuf>,
    are_kept: bool,
}

impl ProjectRules {
    pub(super) fn read(directory: &Path, tracked: Vec<PathBuf>) -> Result<Self, CliError> {
        let rules = compiled(Options::new(directory))?;
        let mut others = Options::new(directory);
        others.file_names.retain(|name| name != RULES);
        let others = compiled(others)?;
        let are_kept = directory.join(RULES).symlink_metadata().is_ok();
        Ok(Self { directory: directory.to_owned(), rules, others, tracked, are_kept })
    }

    /// Whether a `.watchignore` is there, which `devrun init` keeps.
    pub(super) fn are_kept(&self) -> bool {
        self.are_kept
    }

    /// Whether the rules ignore a path of the project.
    pub(super) fn ignore(&self, path: &str, kind: EntryKind) -> bool {
        self.rules.is_ignored(&self.directory.join(path), kind)
    }

    /// Whether a path in a folder of data is ignored after `devrun init`.
    fn will_ignore(&self, path: &str) -> bool {
        let path = self.directory.join(path);
        let is_tracked = |folder| self.tracked.iter().any(|file| file.starts_with(folder));
        self.rules.is_ignored(&path, EntryKind::File)
            || !self.are_kept && !path.parent().is_some_and(is_tracked)
    }

    /// Whether the pattern of a directory adds something to the other rules, and hides no file under version control.
    fn lack(&self, pattern: &str) -> Result<bool, CliError> {
        let path = self.directory.join(pattern.trim_matches('/').replace('*', "any")).join("any");
        let mut options = Options::new(&self.directory).pattern(pattern);
        options.file_names.clear();
        (options.vcs, options.builtin) = (false, false);
        let alone = compiled(options)?;
        let hides = self.tracked.iter().any(|file| alone.is_ignored(file, EntryKind::File));
        Ok(!hides && !self.others.is_ignored(&path, EntryKind::File))
    }
}

fn compiled(options: Options) -> Result<Rules, CliError> {
    Rules::new(options).map_err(|error| CliError::from_library(&error))
}
