//! The findings of `check` as annotations of GitHub: workflow commands on standard output.

use std::path::Path;

use devrun::rules::{Finding, LintReport, Severity};

use super::finding_text::{character_columns, file, full_text};
use crate::ui::{CliError, Terminal};

/// Prints one workflow command for each finding.
pub(crate) fn write(report: &LintReport, directory: &Path, terminal: &mut Terminal) -> Result<(), CliError> {
    report.findings.iter().try_for_each(|finding| terminal.println_data(command(finding, directory)))
}

fn command(finding: &Finding, directory: &Path) -> String {
    let level = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    let mut properties = Vec::new();
    if let Some(place) = &finding.location
        && let Some(file) = file(place, directory)
    {
        properties.push(format!("file={}", escape_property(&file.to_string_lossy())));
        if place.line > 0 {
            let (column, end) = character_columns(place);
            properties.push(format!("line={}", place.line));
            // GitHub includes the end column in the range.
            properties.push(format!("col={column},endColumn={}", (end - 1).max(column)));
        }
    }
    properties.push(format!("title=devrun {}", finding.id));
    format!("::{level} {}::{}", properties.join(","), escape_message(&full_text(finding)))
}

fn escape_message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn escape_property(text: &str) -> String {
    escape_message(text).replace(':', "%3A").replace(',', "%2C")
}
