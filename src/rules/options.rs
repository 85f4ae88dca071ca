//! What the rules are made from: plain data, read by nobody but this room.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::layer::Layer;

/// Where the rules come from.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The working directory, absolute: patterns given by hand are anchored here, and the source of a rule is
    /// named relative to it.
    pub base: PathBuf,
    /// The trees that are looked at, absolute or relative to `base`, which is one of them. What is named here
    /// counts, whatever stands above it says. Per-directory files are read from the top of a root's
    /// repository down, or from the root itself where there is none.
    pub roots: Vec<PathBuf>,
    /// Patterns given by hand (`-i`), gitignore syntax, one line each, as bytes. The highest layer.
    pub patterns: Vec<Vec<u8>>,
    /// Names of the ignore files read in every directory (`--ignore-file NAME`). Default `.watchignore`.
    pub file_names: Vec<OsString>,
    /// Ignore files given by path, read once, anchored at `base`; they may be symbolic links. They rank with
    /// the per-directory files and below all of them.
    pub files: Vec<PathBuf>,
    /// Read `.gitignore`, `.git/info/exclude` and `core.excludesFile`.
    pub vcs: bool,
    /// Use the built-in rules: version control, caches, editors' temporary files.
    pub builtin: bool,
    /// What git's own configuration says, found by the caller.
    pub git: GitEnv,
}

impl Options {
    /// The defaults for a working directory: `.watchignore`, git's files and the built-in rules.
    #[must_use]
    pub fn new(base: impl Into<PathBuf>) -> Self {
        Self {
            base: base.into(),
            roots: Vec::new(),
            patterns: Vec::new(),
            file_names: vec![".watchignore".into()],
            files: Vec::new(),
            vcs: true,
            builtin: true,
            git: GitEnv::default(),
        }
    }

    /// The names of per-directory files, from the lowest rank to the highest.
    pub(super) fn names(&self) -> impl Iterator<Item = (&OsStr, Layer)> {
        let git = self.vcs.then_some((OsStr::new(".gitignore"), Layer::Gitignore));
        let own = self.file_names.iter().map(|name| (name.as_os_str(), Layer::Watchignore));
        git.into_iter().chain(own)
    }
}

/// What of git's environment matters to ignore rules. The library never looks it up: see [`GitEnv::ask`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GitEnv {
    /// `core.excludesFile`, absolute. `None`: there is none.
    pub excludes_file: Option<PathBuf>,
    /// `core.ignoreCase`: patterns match without regard to ASCII case.
    pub ignore_case: bool,
}
