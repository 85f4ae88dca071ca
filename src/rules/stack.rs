//! All layers together: nested files, cached verdicts per directory, `forget` when a rule file changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::Error;
use super::file::Defect;
use super::options::Options;
use super::verdict::{Decision, Verdict};

/// The rules of one tree. Cheap to clone (shared), usable from several threads.
#[derive(Debug, Clone)]
pub struct Rules {
    shared: Arc<Options>,
}

impl Rules {
    /// Makes the rules of a working directory. Rule files are read when a directory is first asked about.
    ///
    /// # Errors
    /// [`Error`] if the working directory cannot be resolved or a file named by hand cannot be read.
    pub fn new(options: Options) -> Result<Self, Error> {
        Ok(Self { shared: Arc::new(options) })
    }

    /// What decides for an absolute path. `is_dir` is the type by `lstat`: a symbolic link to a directory is
    /// not a directory.
    #[must_use]
    pub fn verdict(&self, path: &Path, is_dir: bool) -> Verdict {
        let _ = (path, is_dir);
        Verdict { decision: Decision::Watched, by: None, parent: None }
    }

    /// Whether an absolute path is ignored: [`Rules::verdict`] without the explanation, for hot paths.
    #[must_use]
    pub fn is_ignored(&self, path: &Path, is_dir: bool) -> bool {
        self.verdict(path, is_dir).is_ignored()
    }

    /// Whether the path is one that rules are, or would be, read from: an edit there changes the rules.
    #[must_use]
    pub fn is_rule_file(&self, path: &Path) -> bool {
        path.file_name().is_some_and(|name| self.shared.file_names.iter().any(|known| known == name))
    }

    /// Rule files outside the watched trees (info/exclude, core.excludesFile, `.gitignore` above a root, …) whose
    /// edits matter too.
    #[must_use]
    pub fn outside_files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Forgets what was read from a directory and below, so that the next question reads it again. Called
    /// when a rule file in it was edited, made, removed or renamed.
    pub fn forget(&self, dir: &Path) {
        let _ = dir;
    }

    /// The bad lines of all rule files read until now, in a stable order.
    #[must_use]
    pub fn defects(&self) -> Vec<Defect> {
        Vec::new()
    }
}
