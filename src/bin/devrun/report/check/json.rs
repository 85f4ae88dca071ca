//! The findings of `check` as one JSON document. docs/ci.md describes it.

use std::path::Path;

use devrun::rules::{Finding, LintReport, Severity};
use serde::Serialize;

use super::finding_text::file;
use crate::ui::{ByteString, CliError, Terminal, byte_string, worded};

#[derive(Serialize)]
struct Document<'a> {
    findings: Vec<FindingObject<'a>>,
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
struct FindingObject<'a> {
    id: &'static str,
    severity: &'static str,
    /// Relative to the working directory. Null for a pattern of the command line, and for a finding about no
    /// rule.
    #[serde(flatten, serialize_with = "byte_string::file")]
    file: Option<ByteString>,
    line: Option<u32>,
    /// Counts bytes from 1.
    column: Option<u32>,
    /// Column behind the last byte.
    end_column: Option<u32>,
    #[serde(flatten, serialize_with = "byte_string::text")]
    text: Option<ByteString>,
    message: &'a str,
    remedy: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    related: Option<RelatedObject<'a>>,
}

#[derive(Serialize)]
struct RelatedObject<'a> {
    #[serde(flatten, serialize_with = "byte_string::file")]
    file: Option<ByteString>,
    line: u32,
    column: u32,
    message: &'a str,
}

/// Prints the document.
pub(crate) fn write(report: &LintReport, directory: &Path, terminal: &mut Terminal) -> Result<(), CliError> {
    let document = Document {
        findings: report.findings.iter().map(|finding| finding_object(finding, directory)).collect(),
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
    terminal.println_data(text)
}

fn finding_object<'a>(finding: &'a Finding, directory: &Path) -> FindingObject<'a> {
    let place = finding.location.as_ref();
    let in_line = place.filter(|place| place.line > 0);
    FindingObject {
        id: finding.id.as_str(),
        severity: finding.severity.as_str(),
        file: place.and_then(|place| file(place, directory)).map(ByteString::from_path),
        line: place.map(|place| place.line.max(1)),
        column: place.map(|place| place.column),
        end_column: place.map(|place| place.column + place.len),
        text: in_line.map(|place| ByteString::new(place.text.clone())),
        message: &finding.message,
        remedy: worded(&finding.remedy),
        related: finding.related.as_ref().map(|related| RelatedObject {
            file: file(&related.location, directory).map(ByteString::from_path),
            line: related.location.line,
            column: related.location.column,
            message: &related.label,
        }),
    }
}
