//! The files of the directory of a project, as far as its kind depends on them.

use std::path::{Path, PathBuf};

use crate::inner_reloader;

/// Directories without an entry point: of tools, of tests and of documentation. Directories whose names begin with a dot are left out too.
const OTHER_DIRECTORIES: &str = "node_modules target vendor venv env build dist test tests testdata e2e docs doc \
    example examples benches benchmarks fixtures templates static migrations";
/// Files that mark a directory as the top of a project.
const MANIFESTS: &str = "Cargo.toml go.mod package.json pyproject.toml requirements.txt Pipfile setup.py manage.py \
    Gemfile composer.json artisan mix.exs pom.xml build.gradle build.gradle.kts";
/// Maximum number of files that are searched for an entry point.
const MAX_FILES: usize = 1000;

/// The files of the directory of a project.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProjectFiles<'a> {
    directory: &'a Path,
    /// The top of the repository, or of a monorepo. It has the lock files of the package managers.
    top: &'a Path,
}

impl<'a> ProjectFiles<'a> {
    pub(super) fn new(directory: &'a Path, top: &'a Path) -> Self {
        Self { directory, top }
    }

    pub(super) fn directory(&self) -> &'a Path {
        self.directory
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.directory.join(name).exists()
    }

    pub(super) fn has_file(&self, name: &str) -> bool {
        self.directory.join(name).is_file()
    }

    /// The beginning of a file. Empty if it cannot be read.
    pub(super) fn text(&self, name: &str) -> String {
        inner_reloader::text(&self.directory.join(name))
    }

    /// The first of the files that exists. Spaces separate their names.
    pub(super) fn first<'n>(&self, names: &'n str) -> Option<&'n str> {
        names.split(' ').find(|name| self.has(name))
    }

    /// Whether a source file reads the port of the server from the variable PORT.
    pub(super) fn reads_port(&self, name: &str) -> bool {
        let text = self.text(name);
        ["\"PORT\"", "'PORT'", ".PORT"].iter().any(|word| text.contains(word))
    }

    /// The path of the first of the files that exists, in the directory or else at the top.
    pub(super) fn first_above(&self, names: &str) -> Option<String> {
        let below = self.directory.strip_prefix(self.top).unwrap_or(Path::new(""));
        let up = "../".repeat(below.components().count());
        self.first(names).map(ToOwned::to_owned).or_else(|| {
            let at_top = Self::new(self.top, self.top).first(names)?;
            Some(format!("{up}{at_top}"))
        })
    }

    /// The relative paths of files with an extension, which may have the entry point. Files nearest to the top come first,
    /// and projects below the directory are left out.
    pub(super) fn sources(&self, extension: &str, depth: usize) -> Vec<String> {
        let mut found = Vec::new();
        let mut directories = vec![PathBuf::new()];
        for _ in 0..=depth {
            let mut below = Vec::new();
            for directory in &directories {
                let (files, inner) = self.entries(directory);
                found.extend(
                    files.into_iter().filter(|file| file.extension().is_some_and(|e| e == extension)),
                );
                below.extend(inner.into_iter().filter(|inner| !self.is_project(inner)));
            }
            directories = below;
        }
        found.truncate(MAX_FILES);
        found.iter().filter_map(|path| path.to_str().map(ToOwned::to_owned)).collect()
    }

    fn is_project(&self, directory: &Path) -> bool {
        MANIFESTS.split_whitespace().any(|file| self.directory.join(directory).join(file).exists())
    }

    /// The directories that are projects: at the top, and below the usual folders of monorepos. Packages of
    /// a Cargo workspace are none.
    pub(super) fn parts(&self) -> Vec<PathBuf> {
        let (_, mut parts) = self.entries(Path::new(""));
        for group in ["apps", "packages", "services"] {
            parts.extend(self.entries(Path::new(group)).1);
        }
        let is_member =
            |part: &PathBuf| self.has("Cargo.toml") && self.directory.join(part).join("Cargo.toml").exists();
        parts.retain(|part| self.is_project(part) && !is_member(part));
        parts
    }

    /// The files and the directories in a directory, sorted. Names that a command would have to quote are left out.
    fn entries(&self, directory: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let entries = std::fs::read_dir(self.directory.join(directory)).into_iter().flatten().flatten();
        let is_plain = |name: &str| {
            !name.starts_with('.') && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        };
        let mut paths: Vec<PathBuf> = entries
            .filter(|entry| entry.file_name().to_str().is_some_and(is_plain))
            .map(|entry| directory.join(entry.file_name()))
            .collect();
        paths.sort();
        let (directories, files): (Vec<_>, Vec<_>) =
            paths.into_iter().partition(|path| self.directory.join(path).is_dir());
        let is_searched = |path: &PathBuf| {
            !OTHER_DIRECTORIES
                .split_whitespace()
                .any(|other| path.file_name().is_some_and(|name| name == other))
        };
        (files, directories.into_iter().filter(is_searched).collect())
    }
}
