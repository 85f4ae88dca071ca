//! Paths in options: which are paths at all, which lie in a root, and which must exist.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use crate::cli::args::{ConfigSource, Options};
use crate::cli::suggest::nearest;
use crate::ui::{CliError, escape_path};

/// Whether the value of `--ignore-file` is a path. Without `/` it is a name that devrun reads in every directory.
pub(crate) fn is_path(file: &Path) -> bool {
    file.as_os_str().as_encoded_bytes().contains(&b'/')
}

/// Whether a path lies in a root. Resolves links only if the path as written does not tell.
pub(crate) fn is_below(path: &Path, roots: &[PathBuf]) -> bool {
    let below = |path: &Path| roots.iter().any(|root| path.starts_with(root));
    let is_plain = !path.components().any(|part| part == Component::ParentDir);
    (is_plain && below(path)) || below(&resolved(path))
}

/// The path without `..` and without links above its last name, which is the form in which the watch reports paths.
/// Parts that do not exist stay as they are.
pub(crate) fn resolved(path: &Path) -> PathBuf {
    if path.components().next_back() == Some(Component::ParentDir) {
        return path.canonicalize().unwrap_or_else(|_| path.to_owned());
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => match parent.canonicalize() {
            Ok(parent) => parent.join(name),
            Err(_) => resolved(parent).join(name),
        },
        _ => path.to_owned(),
    }
}

/// Checks the paths on the command line and the options that exclude each other.
///
/// A path on the command line must exist at the start, because a misspelled root would be watched without effect.
///
/// # Errors
/// A [`CliError`] that names the option, and a similar path if one exists.
pub(crate) fn check_command_line(
    options: &Options,
    source: &ConfigSource,
    directory: &Path,
) -> Result<(), CliError> {
    for path in options.watch.paths.iter().flatten() {
        must_exist("--watch", path, directory)?;
    }
    for path in options.run.env_file.iter().flatten() {
        must_be_file("--env-file", path, directory)?;
    }
    for path in options.watch.ignore_file.iter().flatten().filter(|file| is_path(file)) {
        must_be_file("--ignore-file", path, directory)?;
    }
    if source.profile.as_deref() == Some("") {
        return Err(CliError::new("the value of --profile is empty").with_remedy("write --profile NAME"));
    }
    if options.output.verbose > 0 && options.output.quiet == Some(true) {
        return Err(
            CliError::new("--verbose and --quiet contradict each other").with_remedy("leave one of them out")
        );
    }
    Ok(())
}

/// Checks that the path of an option exists. Relative paths start at `directory`.
///
/// # Errors
/// A [`CliError`] with a similar name from the same directory, if there is one.
pub(crate) fn must_exist(option: &str, path: &Path, directory: &Path) -> Result<(), CliError> {
    if path.as_os_str().is_empty() {
        return Err(CliError::new(format!("the value of {option} is empty"))
            .with_remedy(format!("write {option} PATH")));
    }
    let full = directory.join(path);
    let error = match full.metadata() {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    // NotADirectory: a part of the path is a file.
    if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) {
        return Err(CliError::failed_to(format_args!("read {option} {}", escape_path(path)), &error));
    }
    let missing = CliError::new(format!("{option}: {} does not exist", escape_path(path)));
    Err(match similar_name(&full) {
        Some(near) => {
            missing.with_remedy(format!("did you mean {}?", escape_path(&path.with_file_name(near))))
        }
        None if option == "--watch" => missing.with_remedy(
            "create it, or watch a directory above it; a path in devrun.toml may be created later",
        ),
        None => missing.with_remedy("create it, or name another file"),
    })
}

fn must_be_file(option: &str, path: &Path, directory: &Path) -> Result<(), CliError> {
    must_exist(option, path, directory)?;
    if directory.join(path).is_dir() {
        return Err(CliError::new(format!("{option}: {} is a directory", escape_path(path)))
            .with_remedy("name a file"));
    }
    Ok(())
}

/// The name in the same directory that is most similar to the missing one.
fn similar_name(missing: &Path) -> Option<OsString> {
    let name = missing.file_name()?.to_str()?;
    let entries = std::fs::read_dir(missing.parent()?).ok()?;
    let names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    nearest(name, names.iter().map(String::as_str)).map(Into::into)
}
