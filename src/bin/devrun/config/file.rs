//! devrun.toml: found, read, and its mistakes shown with line, column and caret. Merges nothing.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use crate::cli::args::Layer;
use crate::cli::suggest::nearest;
use crate::cli::usage_error::usage_error;
use crate::config::toml_options::{Document, Mistake, OptionWords};
use crate::ui::error::{CliError, SourceSpan};
use crate::ui::escape::escape_path;

/// Its name.
pub(crate) const NAME: &str = "devrun.toml";

/// A devrun.toml that was read.
#[derive(Debug, Clone)]
pub(crate) struct ConfigFile {
    /// The tables at its top.
    pub(crate) layer: Layer,
    /// The tables of the profile that was asked for.
    pub(crate) profile: Layer,
}

/// A devrun.toml is written by hand; what is larger is something else, such as a device or a download.
const LARGEST: u64 = 16 << 20;

/// The file of a directory: its own, or the nearest one above, up to the repository's top. Outside a
/// repository only the directory's own: what lies in `/tmp` or `/home` is nobody's project.
pub(crate) fn find(directory: &Path) -> Option<PathBuf> {
    let top = directory.ancestors().find(|dir| dir.join(".git").exists()).unwrap_or(directory);
    let within = directory.ancestors().take_while(|dir| dir.starts_with(top));
    // A pipe or a device of this name would be waited for, and is nobody's configuration.
    let readable = |path: &PathBuf| match path.metadata() {
        Ok(kind) => kind.is_file() || kind.is_dir(),
        Err(_) => path.symlink_metadata().is_ok(),
    };
    within.map(|dir| dir.join(NAME)).find(readable)
}

/// Reads a file. `shown` is its name in messages.
///
/// # Errors
/// A [`CliError`] that names the file, the line and the column, and what would be right.
pub(crate) fn read(path: &Path, shown: &str, profile: Option<&str>) -> Result<ConfigFile, CliError> {
    let text = text_of(path, shown)?;
    // What editors on Windows put in front is no part of line 1.
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    let mut document = Document::parse(&text).map_err(|mistake| shown_in(shown, &text, mistake))?;
    let profile = match profile {
        None => OptionWords::default(),
        Some(name) => {
            document.profiles.remove(name).ok_or_else(|| no_profile(shown, name, &document.profiles))?
        }
    };
    let options = |words: OptionWords| words.options().map_err(|error| usage_error(&error, "devrun"));
    Ok(ConfigFile { layer: options(document.top)?, profile: options(profile)? })
}

fn text_of(path: &Path, shown: &str) -> Result<String, CliError> {
    let bytes = bytes_of(path).map_err(|error| {
        let failure = CliError::failed_to(format_args!("read {shown}"), &error);
        match (error.kind(), std::fs::read_link(path)) {
            (ErrorKind::NotFound, Ok(target)) => failure.with_remedy(format!(
                "it is a symbolic link to {}, which does not exist: make that, or remove the link",
                escape_path(&target)
            )),
            (ErrorKind::NotFound, Err(_)) => failure.with_remedy("`devrun init` writes a devrun.toml"),
            (ErrorKind::PermissionDenied, _) => {
                failure.with_remedy(format!("make it readable: chmod u+r {shown}"))
            }
            (ErrorKind::IsADirectory, _) => failure.with_remedy("it must be a file"),
            (ErrorKind::FileTooLarge, _) => {
                failure.with_remedy("name another file: this can be no configuration")
            }
            _ => failure.with_remedy("--config FILE names another"),
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

/// The file's content. `--config` may name a pipe, `<(…)` of a shell; what was found and is one would wait for ever.
fn bytes_of(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if read as u64 > LARGEST { Err(ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

fn no_profile(shown: &str, name: &str, profiles: &BTreeMap<String, OptionWords>) -> CliError {
    let failure = CliError::new(format!("there is no [profile.{name}] in {shown}"));
    let known: Vec<&str> = profiles.keys().map(String::as_str).collect();
    match (nearest(name, known.iter().copied()), known.is_empty()) {
        (Some(near), _) => failure.with_remedy(format!("did you mean `--profile {near}`?")),
        (None, true) => {
            failure.with_remedy(format!("add a table such as [profile.{name}.run], or leave --profile out"))
        }
        (None, false) => failure.with_remedy(format!("the profiles there are: {}", known.join(", "))),
    }
}

fn shown_in(shown: &str, text: &str, mistake: Mistake) -> CliError {
    let Mistake { message, label, remedy, span } = mistake;
    let place = SourceSpan::new(shown, text, visible(text, span)).with_label(label);
    let failure = CliError::new(message).with_span(place);
    match remedy {
        Some(remedy) => failure.with_remedy(remedy),
        None => failure,
    }
}

/// A span that points at something: at the end of the text there is nothing to point at.
fn visible(text: &str, span: std::ops::Range<usize>) -> std::ops::Range<usize> {
    let start = span.start.min(text.len());
    // A value over several lines is shown by its first.
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    start..span.end.clamp(start, line_end.max(start))
}
