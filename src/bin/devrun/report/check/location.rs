//! A finding as all formats of `check` write it: paths as they are named there, places as text with columns.

use std::path::{Path, PathBuf};

use devrun::rules::{Finding, Location};

use crate::ui::byte_string::ByteString;
use crate::ui::escape::escape_bytes;
use crate::ui::remedy::worded;

/// Names files relative to a directory, with `/`.
#[derive(Debug)]
pub(crate) struct Names {
    directory: PathBuf,
}

impl Names {
    pub(crate) fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// The name of a file; of patterns given by hand there is none.
    pub(crate) fn of(&self, place: &Location) -> Option<ByteString> {
        place.file.as_deref().map(|file| ByteString::from_path(self.path(file)))
    }

    /// The file's path, relative where it is below the directory.
    pub(crate) fn path<'a>(&self, file: &'a Path) -> &'a Path {
        file.strip_prefix(&self.directory).unwrap_or(file)
    }
}

/// The line of a place as it may be shown, and where in it the bytes in question are.
pub(crate) fn shown_line(place: &Location) -> (String, std::ops::Range<usize>) {
    let start = (place.column as usize - 1).min(place.text.len());
    let end = (start + place.len as usize).min(place.text.len());
    let before = escape_bytes(&place.text[..start]);
    let inside = escape_bytes(&place.text[start..end]);
    let span = before.len()..before.len() + inside.len();
    (before + &inside + &escape_bytes(&place.text[end..]), span)
}

/// Columns of the first character in question and of the one behind the last, counted from 1 in characters.
pub(crate) fn character_columns(place: &Location) -> (usize, usize) {
    let count =
        |end: usize| String::from_utf8_lossy(&place.text[..end.min(place.text.len())]).chars().count() + 1;
    let start = place.column as usize - 1;
    (count(start), count(start + place.len as usize).max(count(start) + usize::from(place.len == 0)))
}

/// Message, cause and remedy in one text, for formats that have only that.
pub(crate) fn whole_text(finding: &Finding) -> String {
    let mut text = finding.message.clone();
    if !finding.label.is_empty() && finding.label != "decides" {
        text = format!("{text} ({})", finding.label);
    }
    let remedy = worded(&finding.remedy);
    if !remedy.is_empty() {
        text = format!("{text}. Remedy: {remedy}");
    }
    text
}
