//! The text of a new `.watchignore`.

use std::fmt::Write as _;

use super::existing_rules::{LEGACY_RULES, LegacyRules, split_lines};
use crate::project::{DataFolder, Project};
use crate::ui::escape_path;

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
    for line in legacy.lines().iter().map(|line| line.as_bytes()).filter(|line| is_new(line)) {
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
            let _ = writeln!(
                text,
                "# This folder holds code ({source}). Remove the # if it is data all the same."
            );
            let _ = writeln!(text, "# {}", folder.pattern);
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
