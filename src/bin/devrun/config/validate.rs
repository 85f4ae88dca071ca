//! What was typed, and whether the paths in it are there. Merges nothing, reads no file's content.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use crate::cli::args::{Layer, Source};
use crate::cli::suggest::nearest;
use crate::config::environment::Environment;
use crate::config::file;
use crate::ui::error::CliError;
use crate::ui::escape::escape_path;

/// What was typed and what the environment said.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) directory: PathBuf,
    pub(crate) typed: Layer,
    pub(crate) command: Vec<OsString>,
    pub(crate) source: Source,
    pub(crate) environment: Environment,
}

/// The devrun.toml to read.
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    /// Named by `--config` or the environment.
    pub(crate) explicit: bool,
}

pub(crate) fn locate(origin: &Origin) -> Result<Option<Found>, CliError> {
    let named = origin.source.config.as_ref().or(origin.environment.source.config.as_ref());
    match named {
        Some(path) if path.as_os_str().is_empty() => {
            Err(CliError::new("--config names no file").with_remedy("write --config FILE"))
        }
        Some(path) => {
            let option = if origin.source.config.is_some() { "--config" } else { "DEVRUN_CONFIG" };
            must_exist(option, path, &origin.directory)?;
            Ok(Some(Found { path: resolved(&origin.directory.join(path)), explicit: true }))
        }
        None => Ok(file::find(&origin.directory).map(|path| Found { path, explicit: false })),
    }
}

pub(crate) fn profile(origin: &Origin) -> Option<&str> {
    origin.source.profile.as_deref().or(origin.environment.source.profile.as_deref())
}

/// Paths that were typed must exist when devrun starts (later they may come and go): a typing mistake would otherwise watch nothing, silently and for ever.
pub(crate) fn check_typed(origin: &Origin, directory: &Path) -> Result<(), CliError> {
    let typed = &origin.typed;
    for path in typed.watch.paths.iter().flatten() {
        must_exist("--watch", path, directory)?;
    }
    for path in typed.run.env_file.iter().flatten() {
        must_exist("--env-file", path, directory)?;
        must_be_file("--env-file", path, directory)?;
    }
    for path in typed.watch.ignore_file.iter().flatten() {
        if is_path(path) {
            must_exist("--ignore-file", path, directory)?;
            must_be_file("--ignore-file", path, directory)?;
        }
    }
    if origin.source.profile.as_deref() == Some("") {
        return Err(CliError::new("--profile names no profile").with_remedy("write --profile NAME"));
    }
    if typed.output.verbose > 0 && typed.output.quiet == Some(true) {
        return Err(
            CliError::new("--verbose and --quiet contradict each other").with_remedy("leave one of them out")
        );
    }
    Ok(())
}

fn must_be_file(option: &str, path: &Path, directory: &Path) -> Result<(), CliError> {
    match directory.join(path).is_dir() {
        true => Err(CliError::new(format!("{option}: {} is a directory", escape_path(path)))
            .with_remedy("name a file")),
        false => Ok(()),
    }
}

fn must_exist(option: &str, path: &Path, directory: &Path) -> Result<(), CliError> {
    if path.as_os_str().is_empty() {
        return Err(
            CliError::new(format!("{option} names no path")).with_remedy(format!("write {option} PATH"))
        );
    }
    let full = directory.join(path);
    match full.metadata() {
        Ok(_) => Ok(()),
        Err(error) if is_absence(&error) => {
            let failure = CliError::new(format!("{option}: {} does not exist", escape_path(path)));
            Err(match beside(&full) {
                Some(near) => {
                    failure.with_remedy(format!("did you mean {}?", escape_path(&path.with_file_name(near))))
                }
                None if option == "--watch" => failure.with_remedy(
                    "make it first, or name a directory above it; in devrun.toml a path may be made later",
                ),
                None => failure.with_remedy("make it first, or name another"),
            })
        }
        Err(error) => {
            Err(CliError::failed_to(format_args!("look at {option} {}", escape_path(path)), &error))
        }
    }
}

/// Nothing is there; also if what should be a directory on the way is a file.
fn is_absence(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

/// The name in the same directory that was probably meant.
fn beside(missing: &Path) -> Option<OsString> {
    let wanted = missing.file_name()?.to_str()?;
    let entries = std::fs::read_dir(missing.parent()?).ok()?;
    let names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    nearest(wanted, names.iter().map(String::as_str)).map(Into::into)
}

/// Whether an `--ignore-file` is a path rather than a name to look for in every directory.
pub(crate) fn is_path(file: &Path) -> bool {
    file.as_os_str().as_encoded_bytes().contains(&b'/')
}

/// Whether a path lies in one of the roots. The file system is asked only where the name alone does not tell.
pub(crate) fn is_below(path: &Path, roots: &[PathBuf]) -> bool {
    let below = |path: &Path| roots.iter().any(|root| path.starts_with(root));
    let is_plain = !path.components().any(|part| part == Component::ParentDir);
    (is_plain && below(path)) || below(&resolved(path))
}

/// A path without `..` and links above its last name, as the watch room reports it: `../lib` typed in `app` does
/// not lie below `app`. What does not exist is kept as it is written.
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
