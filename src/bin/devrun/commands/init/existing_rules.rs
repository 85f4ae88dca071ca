//! The rule files that a directory has before `devrun init`: a `.watchignore`, or a `.watchdogignore`.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use devrun::rules::{EntryKind, Options, Rules};

use crate::ui::{ByteString, CliError};

/// The file that `devrun init` writes.
pub(super) const RULES: &str = ".watchignore";
/// A file that people write in the belief that Python's watchdog reads it. devrun reads it too.
pub(super) const LEGACY_RULES: &str = ".watchdogignore";

/// The rules of a `.watchignore` that exists already. `[check]` can only assert what these rules decide.
pub(super) struct KeptRules {
    directory: PathBuf,
    rules: Rules,
}

impl KeptRules {
    /// `None` if the directory has no `.watchignore`.
    pub(super) fn read(directory: &Path) -> Result<Option<Self>, CliError> {
        if directory.join(RULES).symlink_metadata().is_err() {
            return Ok(None);
        }
        let rules = Rules::new(Options::new(directory)).map_err(|error| CliError::from_library(&error))?;
        Ok(Some(Self { directory: directory.to_owned(), rules }))
    }

    /// Whether the rules ignore a path of the project.
    pub(super) fn ignore(&self, path: &str, kind: EntryKind) -> bool {
        self.rules.is_ignored(&self.directory.join(path), kind)
    }
}

/// The rules of a `.watchdogignore`, which `devrun init` copies.
pub(super) struct LegacyRules {
    lines: Vec<ByteString>,
}

impl LegacyRules {
    /// Has no lines if the directory has no `.watchdogignore`.
    pub(super) fn read(directory: &Path) -> Result<Self, CliError> {
        match fs::read(directory.join(LEGACY_RULES)) {
            Ok(bytes) => Ok(Self { lines: split_lines(&bytes).map(ByteString::new).collect() }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self { lines: Vec::new() }),
            Err(error) => Err(CliError::failed_to(format_args!("read {LEGACY_RULES}"), &error)),
        }
    }

    /// All lines, comments included.
    pub(super) fn lines(&self) -> &[ByteString] {
        &self.lines
    }

    /// The lines that are rules.
    pub(super) fn rules(&self) -> impl Iterator<Item = &ByteString> {
        self.lines.iter().filter(|line| {
            let line = line.as_bytes();
            !line.trim_ascii().is_empty() && !line.starts_with(b"#")
        })
    }
}

/// The lines of a rule file. They need not be UTF-8, because names of files are not.
pub(super) fn split_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}
