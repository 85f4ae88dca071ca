//! Findings as annotations of GitHub workflows (workflow commands on standard output).

use devrun::rules::{Finding, LintReport, Severity};

use super::location::{Names, character_columns, whole_text};
use crate::ui::error::CliError;
use crate::ui::terminal::Terminal;

/// Writes one command per finding.
pub(crate) fn write(report: &LintReport, names: &Names, terminal: &mut Terminal) -> Result<(), CliError> {
    report.findings.iter().try_for_each(|finding| terminal.println(command(finding, names)))
}

fn command(finding: &Finding, names: &Names) -> String {
    let word = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    let mut properties = Vec::new();
    if let Some(place) = &finding.location
        && let Some(file) = names.of(place)
    {
        properties.push(format!("file={}", property(&file.to_text())));
        if place.line > 0 {
            let (column, end) = character_columns(place);
            properties.push(format!("line={}", place.line));
            // The last column is a part of the annotation there.
            properties.push(format!("col={column},endColumn={}", (end - 1).max(column)));
        }
    }
    properties.push(format!("title=devrun {}", finding.id));
    format!("::{word} {}::{}", properties.join(","), data(&whole_text(finding)))
}

/// The escapes of a command's data.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The escapes of a command's property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
