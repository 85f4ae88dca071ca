//! Finds the repository of a directory.

use std::path::{Path, PathBuf};

use crate::rules::path_key;

/// A git repository with a working tree.
#[derive(Debug)]
pub(crate) struct Repository<'a> {
    top: &'a Path,
    common_dir: PathBuf,
}

impl<'a> Repository<'a> {
    /// The repository that contains a directory: the nearest one whose top is the directory or an ancestor.
    pub(crate) fn containing(dir: &'a Path) -> Option<Self> {
        dir.ancestors().find_map(Self::with_top)
    }

    /// The repository whose working tree starts at `top`.
    ///
    /// In a linked worktree and in a submodule, `.git` is a file that names git's directory. The file
    /// `commondir` in there names the directory that all worktrees of the repository share.
    pub(crate) fn with_top(top: &'a Path) -> Option<Self> {
        let dot_git = top.join(".git");
        let metadata = std::fs::metadata(&dot_git).ok()?;
        let git_dir = if metadata.is_dir() { dot_git } else { path_in_file(&dot_git, b"gitdir:", top)? };
        let common_dir = match path_in_file(&git_dir.join("commondir"), b"", &git_dir) {
            // The file contains `..`. Messages and watches need the real path.
            Some(common_dir) => common_dir.canonicalize().unwrap_or(common_dir),
            None => git_dir.clone(),
        };
        let is_repository = git_dir.join("HEAD").symlink_metadata().is_ok()
            && common_dir.join("objects").is_dir()
            && common_dir.join("refs").is_dir();
        is_repository.then_some(Self { top, common_dir })
    }

    /// The top directory of the working tree.
    pub(crate) fn top(&self) -> &'a Path {
        self.top
    }

    /// The path of `info/exclude`, whether the file exists or not.
    pub(crate) fn exclude_file(&self) -> PathBuf {
        self.common_dir.join("info/exclude")
    }

    /// The path of the repository's configuration file.
    pub(super) fn config_file(&self) -> PathBuf {
        self.common_dir.join("config")
    }
}

/// Reads a path from a small file of git's, behind a prefix. A relative path counts from `base`.
fn path_in_file(file: &Path, prefix: &[u8], base: &Path) -> Option<PathBuf> {
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let content = std::fs::read(file).ok()?;
    let path = content.strip_prefix(prefix)?.trim_ascii();
    (!path.is_empty()).then(|| base.join(path_key::path_from(path)))
}
