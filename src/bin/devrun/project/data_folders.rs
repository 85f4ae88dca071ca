//! Folders that look like data: by their names, without source code, and without files under version control.

use std::fs::DirEntry;
use std::path::{Path, PathBuf};

use devrun::rules::tracked_files;

use super::answer::answer;
use super::recognise::Project;

/// Names of folders that programs write to.
const DATA_NAMES: &str = "downloads download uploads upload data debug logs log tmp temp media cache .cache storage \
    output outputs exports backups instance";
/// File name extensions of source code.
const SOURCE_EXTENSIONS: &str = "rs py js mjs ts tsx jsx go rb php java kt ex exs c h cpp";
/// Depth to which a folder is searched for source code.
const SOURCE_DEPTH: usize = 3;
/// Maximum number of entries of a directory that are searched for source code.
const MAX_ENTRIES: usize = 2000;

/// A folder that looks like data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DataFolder {
    /// The pattern that ignores the folder, such as `/app/uploads/`.
    pub(crate) pattern: String,
    /// A source file in the folder, relative to the project. With one, the folder may not be data.
    pub(crate) source: Option<PathBuf>,
}

impl DataFolder {
    /// The path of the folder, relative to the project.
    pub(crate) fn path(&self) -> &str {
        self.pattern.trim_matches('/')
    }
}

/// The folders that look like data at the top of a project and one level below, sorted. Folders that the
/// tools of the project generate are left out, because their own patterns ignore them. So are folders with a file
/// under version control, because a program does not write such files while it runs.
pub(crate) fn data_folders(directory: &Path, project: &Project, tracked: &[PathBuf]) -> Vec<DataFolder> {
    let mut paths = Vec::new();
    for top in subdirectories(directory) {
        let is_generated = project.generated.iter().any(|pattern| pattern.trim_matches('/') == top);
        if has_data_name(&top) {
            paths.push(top.clone());
        }
        if !top.starts_with('.') && !is_generated && !is_word_of(DATA_NAMES, &top) {
            let below = subdirectories(&directory.join(&top)).into_iter().filter(|name| has_data_name(name));
            paths.extend(below.map(|name| format!("{top}/{name}")));
        }
    }
    let folder = |path: String| {
        let source = find_source(&directory.join(&path), SOURCE_DEPTH);
        let source = source.and_then(|source| source.strip_prefix(directory).map(Path::to_owned).ok());
        DataFolder { pattern: format!("/{path}/"), source }
    };
    let mut folders: Vec<DataFolder> = paths.into_iter().map(folder).collect();
    folders.retain(|folder| {
        let path = directory.join(folder.path());
        !project.generated.contains(&folder.pattern) && !tracked.iter().any(|file| file.starts_with(&path))
    });
    folders.sort_by(|a, b| a.pattern.cmp(&b.pattern));
    folders
}

/// The files under version control, absolute. Empty without git. An error if git does not answer in time.
pub(crate) fn tracked(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let directory = directory.to_owned();
    answer("git ls-files", move || tracked_files(&directory, std::env::vars_os()).unwrap_or_default())
}

fn has_data_name(name: &str) -> bool {
    is_word_of(DATA_NAMES, &name.to_ascii_lowercase())
}

fn is_word_of(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|known| known == word)
}

/// The names of the directories in a directory, sorted. Symbolic links are left out, and names that a pattern
/// would have to escape.
fn subdirectories(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name != ".git" && !name.contains(['*', '?', '[', '\\', '\n', '\r', ' ', '!', '#']))
        .collect();
    names.sort();
    names
}

fn find_source(directory: &Path, depth: usize) -> Option<PathBuf> {
    let mut entries: Vec<DirEntry> = std::fs::read_dir(directory).ok()?.take(MAX_ENTRIES).flatten().collect();
    entries.sort_by_key(DirEntry::file_name);
    let files = entries.iter().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    if let Some(source) = files.map(DirEntry::path).find(|path| is_source(path)) {
        return Some(source);
    }
    let below = entries.iter().filter(|entry| depth > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir()));
    below.map(DirEntry::path).find_map(|directory| find_source(&directory, depth - 1))
}

fn is_source(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| is_word_of(SOURCE_EXTENSIONS, extension))
}
