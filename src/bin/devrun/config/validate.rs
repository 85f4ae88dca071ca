//! Checks of the command line that need the file system, such as whether a path exists.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::Path;

use crate::cli::args::{ConfigSource, Options};
use crate::cli::suggest::nearest;
use crate::config::paths::is_path;
use crate::ui::{CliError, escape_path};

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
