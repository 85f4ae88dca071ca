//! devrun.toml: found, read, and its mistakes shown with line, column and caret. Merges nothing.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::cli::args::{self, Check, Front, Layer, Output, Run, Watch};
use crate::cli::serde_shapes::{Table, table};
use crate::cli::suggest::nearest;
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

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
struct Document {
    #[serde(deserialize_with = "table")]
    watch: Watch,
    #[serde(deserialize_with = "table")]
    run: Run,
    #[serde(deserialize_with = "table")]
    front: Front,
    #[serde(deserialize_with = "table")]
    check: Check,
    #[serde(deserialize_with = "table")]
    output: Output,
    profile: BTreeMap<String, Table<Layer>>,
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
    let document: Document = toml::from_str(&text).map_err(|error| mistake(shown, &text, &error))?;
    let Document { watch, run, front, check, output, profile: mut profiles } = document;
    let profile = match profile {
        None => Layer::default(),
        Some(name) => match profiles.remove(name) {
            Some(Table(layer)) => layer,
            None => return Err(no_profile(shown, name, &profiles)),
        },
    };
    Ok(ConfigFile { layer: Layer { watch, run, front, check, output }, profile })
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

fn no_profile(shown: &str, name: &str, profiles: &BTreeMap<String, Table<Layer>>) -> CliError {
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

/// What toml says, in our words: an unknown key gets the nearest valid one.
fn mistake(shown: &str, text: &str, error: &toml::de::Error) -> CliError {
    let span = error.span().unwrap_or(0..0);
    let (message, label, remedy) = describe(error.message());
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

fn describe(message: &str) -> (String, String, Option<String>) {
    if let Some(rest) = message.strip_prefix("unknown field `") {
        let (key, expected) = rest.split_once('`').unwrap_or((rest, ""));
        let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        let remedy = match nearest(key, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => match moved(key) {
                Some(table) => format!("`{key}` belongs in [{table}]"),
                None => format!("the keys that are known here: {}", known.join(", ")),
            },
        };
        return (format!("unknown key `{}`", short(key)), "not known here".into(), Some(remedy));
    }
    if let Some(rest) = message.strip_prefix("unknown variant `") {
        let (word, expected) = rest.split_once('`').unwrap_or((rest, ""));
        let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        let remedy = match nearest(word, known.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("one of: {}", known.join(", ")),
        };
        return (format!("unknown value \"{word}\""), "not known here".into(), Some(remedy));
    }
    let typed = ["invalid type: ", "invalid value: "].iter().find_map(|start| message.strip_prefix(start));
    if let Some(rest) = typed {
        let (found, wanted) = rest.split_once(", expected ").unwrap_or((rest, "something else"));
        return ("wrong type".into(), format!("expected {}, found {}", noun(wanted), noun(found)), None);
    }
    if message == "duplicate key" {
        return ("duplicate key".into(), "given before".into(), Some("leave one of them out".into()));
    }
    if message.starts_with("cannot recurse further") {
        return ("tables or lists are nested too deeply".into(), String::new(), None);
    }
    if message == "wanted string or table" {
        return ("wrong type".into(), "expected a string".into(), None);
    }
    // Our own values say what is wrong and, after the semicolon, what would be right.
    match message.split_once("; ") {
        Some((what, remedy)) => (what.to_owned(), String::new(), Some(remedy.to_owned())),
        None => (message.to_owned(), String::new(), None),
    }
}

/// A key that fits a line: what is longer was pasted by mistake.
fn short(key: &str) -> String {
    match key.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &key[..at]),
        None => key.to_owned(),
    }
}

/// serde's and Rust's words for things, in TOML's.
fn noun(word: &str) -> &str {
    match word {
        "map" | "a map" => "a table",
        "sequence" => "a list",
        "path string" => "a string",
        "u8" => "a number from 0 to 255",
        _ if word.starts_with("struct ") => "a table",
        _ => word,
    }
}

/// The table that knows a key put into another one.
fn moved(key: &str) -> Option<&'static str> {
    let tables = args::tables();
    let mut known =
        tables.iter().filter(|(_, options)| options.iter().any(|option| args::key(option) == key));
    known.next().map(|(table, _)| *table)
}
