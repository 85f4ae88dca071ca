//! The options from which rules are made.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::git::GitEnv;
use super::layer::Layer;
use super::pattern::Case;

/// The name of an ignore file that projects have from before devrun.
pub(super) const WATCHDOG_NAME: &str = ".watchdogignore";

/// The sources of rules.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The working directory, absolute. `patterns` and `files` are relative to it.
    pub base: PathBuf,
    /// The watched trees, absolute or relative to `base`. They always include `base`. A root counts even if a
    /// rule of a directory above it matches. Nested rule files are read from the top of the root's repository
    /// down, or from the root itself outside a repository.
    pub roots: Vec<PathBuf>,
    /// Single patterns in gitignore syntax, as bytes. They are the highest layer.
    pub patterns: Vec<Vec<u8>>,
    /// Names of the ignore files that are read in every directory. Default: `.watchdogignore` and
    /// `.watchignore`. The former has a layer of its own, below all other names.
    pub file_names: Vec<OsString>,
    /// Paths of ignore files that are read once; they may be symbolic links. They rank with the nested files,
    /// below all of them.
    pub files: Vec<PathBuf>,
    /// Whether to read `.gitignore`, `.git/info/exclude` and `core.excludesFile`.
    pub vcs: bool,
    /// Whether to use the built-in rules for version control, caches and editors' temporary files.
    pub builtin: bool,
    /// The values of git's configuration that matter to rules. See [`GitEnv::ask`].
    pub git: GitEnv,
}

impl Options {
    /// The defaults for a working directory: `.watchignore`, `.watchdogignore`, git's files and the built-in rules.
    #[must_use]
    pub fn new(base: impl Into<PathBuf>) -> Self {
        Self {
            base: base.into(),
            roots: Vec::new(),
            patterns: Vec::new(),
            file_names: vec![WATCHDOG_NAME.into(), ".watchignore".into()],
            files: Vec::new(),
            vcs: true,
            builtin: true,
            git: GitEnv::default(),
        }
    }

    /// The names of the nested rule files, from the lowest rank to the highest.
    pub(super) fn nested_files(&self) -> impl Iterator<Item = (&OsStr, Layer)> {
        let git = self.vcs.then_some((OsStr::new(".gitignore"), Layer::Gitignore));
        let layer = |name| if name == WATCHDOG_NAME { Layer::Watchdogignore } else { Layer::Watchignore };
        let own = self.file_names.iter().map(move |name| (name.as_os_str(), layer(name)));
        git.into_iter().chain(own)
    }

    /// Whether case counts in patterns.
    pub(super) fn case(&self) -> Case {
        Case::from_ignore_case(self.git.ignore_case)
    }
}
