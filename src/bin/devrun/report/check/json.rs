//! The findings of `check` as one JSON document. Its form is described in docs/ci.md.

use devrun::rules::{Finding, LintReport, Location, Severity};
use serde::Serialize;

use super::location::Names;
use crate::ui::byte_string::{self, ByteString};
use crate::ui::error::CliError;
use crate::ui::remedy::worded;
use crate::ui::terminal::Terminal;

#[derive(Serialize)]
struct Document<'a> {
    findings: Vec<Entry<'a>>,
    summary: Summary,
}

#[derive(Serialize)]
struct Summary {
    errors: usize,
    warnings: usize,
    notes: usize,
    files: usize,
    rules: usize,
    directories: u64,
}

#[derive(Serialize)]
struct Entry<'a> {
    id: &'static str,
    severity: &'static str,
    /// Relative to the working directory; null for patterns given by hand and for what is about no rule.
    #[serde(flatten, serialize_with = "byte_string::file")]
    file: Option<ByteString>,
    line: Option<u32>,
    /// In bytes, from 1.
    column: Option<u32>,
    /// In bytes, from 1; behind the last.
    end_column: Option<u32>,
    #[serde(flatten, serialize_with = "byte_string::text")]
    text: Option<ByteString>,
    message: &'a str,
    remedy: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    related: Option<RelatedEntry<'a>>,
}

#[derive(Serialize)]
struct RelatedEntry<'a> {
    #[serde(flatten, serialize_with = "byte_string::file")]
    file: Option<ByteString>,
    line: u32,
    column: u32,
    message: &'a str,
}

/// Writes all of it.
pub(crate) fn write(report: &LintReport, names: &Names, terminal: &mut Terminal) -> Result<(), CliError> {
    let document = Document {
        findings: report.findings.iter().map(|finding| entry(finding, names)).collect(),
        summary: Summary {
            errors: report.count(Severity::Error),
            warnings: report.count(Severity::Warning),
            notes: report.count(Severity::Note),
            files: report.files,
            rules: report.rules,
            directories: report.directories,
        },
    };
    let text =
        serde_json::to_string_pretty(&document).map_err(|error| CliError::failed_to("write JSON", &error))?;
    terminal.println(text)
}

fn entry<'a>(finding: &'a Finding, names: &Names) -> Entry<'a> {
    let place = finding.location.as_ref();
    let in_line = place.filter(|place| place.line > 0);
    Entry {
        id: finding.id.as_str(),
        severity: finding.severity.as_str(),
        file: place.and_then(|place| names.of(place)),
        line: place.map(|place| place.line.max(1)),
        column: place.map(|place| place.column),
        end_column: place.map(|place| place.column + place.len),
        text: in_line.map(text_of),
        message: &finding.message,
        remedy: worded(&finding.remedy),
        related: finding.related.as_ref().map(|related| RelatedEntry {
            file: names.of(&related.location),
            line: related.location.line,
            column: related.location.column,
            message: &related.label,
        }),
    }
}

fn text_of(place: &Location) -> ByteString {
    ByteString::new(place.text.clone())
}
