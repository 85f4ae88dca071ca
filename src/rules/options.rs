//! What the rules are made from: plain data, read by nobody but this room.

use std::ffi::OsString;
use std::path::PathBuf;

/// Where the rules come from.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The working directory, absolute: patterns given by hand are anchored here, and the source of a rule is
    /// named relative to it.
    pub base: PathBuf,
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
            patterns: Vec::new(),
            file_names: vec![".watchignore".into()],
            files: Vec::new(),
            vcs: true,
            builtin: true,
            git: GitEnv::default(),
        }
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
