//! What rules are made from, and why they cannot be made.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use super::git::GitEnv;
use super::pattern::Case;
use super::verdict::Layer;

/// The name of an ignore file that projects have from before devrun.
pub(super) const WATCHDOG_NAME: &str = ".watchdogignore";

/// The sources of rules.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The directory that `patterns`, `roots` and `files` are relative to. A relative one is resolved against the
    /// working directory of this process.
    pub base: PathBuf,
    /// The watched trees, absolute or relative to `base`; if there are none, `base` alone. A root and `base`
    /// count even if a rule of a directory above them matches. Nested rule files are read from the top of the
    /// root's repository down, or from the root itself outside a repository.
    pub roots: Vec<PathBuf>,
    /// Single patterns in gitignore syntax, as bytes. They are the highest layer. See [`Options::pattern`].
    pub patterns: Vec<Vec<u8>>,
    /// Names of the ignore files that are read in every directory. Default: `.watchdogignore` and
    /// `.watchignore`. The former has a layer of its own, below all other names.
    pub file_names: Vec<OsString>,
    /// Paths of ignore files that are read once; they may be symbolic links. They rank with the nested files,
    /// below all of them.
    pub files: Vec<PathBuf>,
    /// Whether to read `.gitignore`, `.git/info/exclude` and `core.excludesFile`.
    pub vcs: bool,
    /// Whether to use the built-in rules for version control, caches, editors' temporary files and data, and to
    /// leave out cache directories (`CACHEDIR.TAG`) and linked worktrees of git.
    pub builtin: bool,
    /// The values of git's configuration that matter to rules. See [`GitEnv::ask`].
    pub git: GitEnv,
}

impl Options {
    /// The defaults for a working directory: `.watchignore`, `.watchdogignore`, git's files and the built-in
    /// rules.
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

    /// Adds a pattern in gitignore syntax: text, or bytes if it is not UTF-8.
    #[must_use]
    pub fn pattern(mut self, pattern: impl Into<Vec<u8>>) -> Self {
        self.patterns.push(pattern.into());
        self
    }

    /// The base as an absolute path.
    pub(crate) fn absolute_base(&self) -> Result<PathBuf, Error> {
        std::path::absolute(&self.base).map_err(|source| Error::Base { path: self.base.clone(), source })
    }

    /// The names of the nested rule files, from the lowest rank to the highest.
    pub(super) fn nested_files(&self) -> impl Iterator<Item = (&OsStr, Layer)> {
        let git = self.vcs.then_some((OsStr::new(".gitignore"), Layer::Gitignore));
        let layer = |name| if name == WATCHDOG_NAME { Layer::Watchdogignore } else { Layer::Watchignore };
        let own = self.file_names.iter().map(move |name| (name.as_os_str(), layer(name)));
        git.into_iter().chain(own)
    }

    /// The working directory and the watched trees.
    pub(super) fn all_roots(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.base].into_iter().chain(&self.roots)
    }

    /// Whether a path is the working directory or a watched tree.
    pub(super) fn is_root(&self, path: &Path) -> bool {
        self.all_roots().any(|root| root == path)
    }

    /// Whether a path lies below a watched tree's top and is none itself.
    pub(super) fn is_below_root(&self, path: &Path) -> bool {
        !self.is_root(path) && self.all_roots().any(|root| path.starts_with(root))
    }

    /// Whether case counts in patterns.
    pub(super) fn case(&self) -> Case {
        if self.git.ignore_case { Case::Insensitive } else { Case::Sensitive }
    }
}

/// Why rules cannot be made. The text completes "failed to …".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The base cannot be made absolute.
    #[error("resolve the directory {path:?}")]
    Base {
        /// The directory.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A file of [`Options::files`](super::Options::files) cannot be read.
    #[error("read the ignore file {path}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}
