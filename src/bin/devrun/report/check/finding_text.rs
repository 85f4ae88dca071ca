//! The parts of a finding that several formats share: names of files, columns and the text.

use std::ops::Range;
use std::path::Path;

use devrun::rules::{Finding, Location};

use crate::ui::{escape_bytes, worded};

/// The file of a location, relative to `directory` if it is below it. `None` for a pattern of the command line,
/// which is in no file.
pub(super) fn file<'a>(place: &'a Location, directory: &Path) -> Option<&'a Path> {
    let file = place.file.as_deref()?;
    Some(file.strip_prefix(directory).unwrap_or(file))
}

/// The escaped line of a location, and the range of the marked part in it.
pub(super) fn escaped_line(place: &Location) -> (String, Range<usize>) {
    let start = (place.column as usize - 1).min(place.text.len());
    let end = (start + place.len as usize).min(place.text.len());
    let before = escape_bytes(&place.text[..start]);
    let marked = escape_bytes(&place.text[start..end]);
    let range = before.len()..before.len() + marked.len();
    (before + &marked + &escape_bytes(&place.text[end..]), range)
}

/// Columns of the first marked character and of the character behind the last one. They count characters from
/// 1.
pub(super) fn character_columns(place: &Location) -> (usize, usize) {
    let column_of =
        |byte: usize| String::from_utf8_lossy(&place.text[..byte.min(place.text.len())]).chars().count() + 1;
    let start = place.column as usize - 1;
    let end = column_of(start + place.len as usize);
    // An empty range still marks one character.
    (column_of(start), end.max(column_of(start) + usize::from(place.len == 0)))
}

/// Message, label and remedy as one text, for formats with a single text.
pub(super) fn full_text(finding: &Finding) -> String {
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
