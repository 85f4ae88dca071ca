//! The text of a new `devrun.toml`.

use std::fmt::Write as _;

use devrun::rules::EntryKind;

use super::existing_rules::KeptRules;
use crate::project::{DataFolder, Project};

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
