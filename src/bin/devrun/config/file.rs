//! Finds and reads devrun.toml.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use crate::cli::args::Options;
use crate::cli::suggest::nearest;
use crate::cli::usage_error::usage_error;
use crate::config::merge::over;
use crate::config::mistake::Mistake;
use crate::config::toml_options::{Document, OptionWords};
use crate::ui::{CliError, SourceSpan, escape_path};

/// The name of the file.
pub(crate) const FILE_NAME: &str = "devrun.toml";

/// Maximum size. A larger file is not a configuration, but a device or a download.
const MAX_SIZE: u64 = 16 << 20;

/// The devrun.toml of a directory: in the directory itself, or in the nearest one above it within the repository.
/// Outside a repository only the directory itself counts, because `/tmp` or `/home` is not a project.
pub(crate) fn find(directory: &Path) -> Option<PathBuf> {
    let top = directory.ancestors().find(|dir| dir.join(".git").exists()).unwrap_or(directory);
    let within = directory.ancestors().take_while(|dir| dir.starts_with(top));
    // Reading a pipe or a device would block.
    let readable = |path: &PathBuf| match path.metadata() {
        Ok(kind) => kind.is_file() || kind.is_dir(),
        Err(_) => path.symlink_metadata().is_ok(),
    };
    within.map(|dir| dir.join(FILE_NAME)).find(readable)
}

/// Reads a devrun.toml: its options, and over them those of the profile. `shown` is its name in messages.
///
/// # Errors
/// A [`CliError`] with file, line, column and remedy.
pub(crate) fn read(path: &Path, shown: &str, profile: Option<&str>) -> Result<Options, CliError> {
    let text = text_of(path, shown)?;
    // Some editors on Windows begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    let mut document = Document::parse(&text).map_err(|mistake| mistake_error(shown, &text, mistake))?;
    let profile = match profile {
        None => OptionWords::default(),
        Some(name) => {
            document.profiles.remove(name).ok_or_else(|| no_profile(shown, name, &document.profiles))?
        }
    };
    let options = |words: OptionWords| words.options().map_err(|error| usage_error(&error, "devrun"));
    Ok(over(options(profile)?, options(document.top)?))
}

fn text_of(path: &Path, shown: &str) -> Result<String, CliError> {
    let bytes = bytes_of(path).map_err(|error| {
        let failure = CliError::failed_to(format_args!("read {shown}"), &error);
        match (error.kind(), std::fs::read_link(path)) {
            (ErrorKind::NotFound, Ok(target)) => failure.with_remedy(format!(
                "it is a symbolic link to {}, which does not exist: create that file, or remove the link",
                escape_path(&target)
            )),
            (ErrorKind::NotFound, Err(_)) => failure.with_remedy("`devrun init` writes a devrun.toml"),
            (ErrorKind::PermissionDenied, _) => {
                failure.with_remedy(format!("make it readable: chmod u+r {shown}"))
            }
            (ErrorKind::IsADirectory, _) => failure.with_remedy("it must be a file"),
            (ErrorKind::FileTooLarge, _) => {
                failure.with_remedy("name another file; a configuration is smaller than 16 MiB")
            }
            _ => failure.with_remedy("--config FILE names another file"),
        }
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let span = at..at + char::REPLACEMENT_CHARACTER.len_utf8();
        let place = SourceSpan::new(shown, text, span).with_label("not UTF-8");
        CliError::new("TOML must be UTF-8").with_span(place).with_remedy("save the file as UTF-8")
    })
}

/// The content of the file, which may be a pipe such as `<(…)` of a shell.
fn bytes_of(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path)?.take(MAX_SIZE + 1).read_to_end(&mut bytes)?;
    if read as u64 > MAX_SIZE { Err(ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

fn no_profile(shown: &str, name: &str, profiles: &BTreeMap<String, OptionWords>) -> CliError {
    let failure = CliError::new(format!("there is no [profile.{name}] in {shown}"));
    let known: Vec<&str> = profiles.keys().map(String::as_str).collect();
    match (nearest(name, known.iter().copied()), known.is_empty()) {
        (Some(near), _) => failure.with_remedy(format!("did you mean `--profile {near}`?")),
        (None, true) => {
            failure.with_remedy(format!("add a table such as [profile.{name}.run], or leave out --profile"))
        }
        (None, false) => failure.with_remedy(format!("the profiles are: {}", known.join(", "))),
    }
}

/// The error for a mistake.
fn mistake_error(shown: &str, text: &str, mistake: Mistake) -> CliError {
    let Mistake { message, label, remedy, span } = mistake;
    let place = SourceSpan::new(shown, text, first_line(text, span)).with_label(label);
    let failure = CliError::new(message).with_span(place);
    match remedy {
        Some(remedy) => failure.with_remedy(remedy),
        None => failure,
    }
}

/// The part of the span that a message can show: within the text, and on one line.
fn first_line(text: &str, span: std::ops::Range<usize>) -> std::ops::Range<usize> {
    let start = span.start.min(text.len());
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    start..span.end.clamp(start, line_end.max(start))
}
