//! The files under version control.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::repository::Repository;
use crate::rules::path_key;

/// Lists the files under version control in a directory and below, as absolute paths, by `git ls-files`.
/// Outside a repository there are none. `environment` is the whole environment of git, as for
/// [`GitEnv::ask`](super::GitEnv::ask).
///
/// # Errors
/// If git cannot be run or fails.
pub fn tracked_files(
    dir: &Path,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> io::Result<Vec<PathBuf>> {
    if Repository::containing(dir).is_none() {
        return Ok(Vec::new());
    }
    let mut git = Command::new("git");
    git.args(["ls-files", "-z"]).current_dir(dir).env_clear().envs(environment).stdin(Stdio::null());
    let output = git.output()?;
    if !output.status.success() {
        // git puts its advice on more lines, indented.
        let reason = String::from_utf8_lossy(&output.stderr);
        let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        return Err(io::Error::other(format!("git ls-files: {reason}")));
    }
    let paths = output.stdout.split(|byte| *byte == 0).filter(|path| !path.is_empty());
    Ok(paths.map(|path| dir.join(path_key::path_from(path))).collect())
}
