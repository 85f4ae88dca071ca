//! The findings of `check` for people: the source line with carets, in the form of rustc.

use std::path::Path;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};
use devrun::rules::{Finding, LintReport, Location, Severity};

use super::finding_text::{escaped_line, file};
use crate::ui::{CliError, ERROR, GOOD, NAME, Terminal, WARNING, count, escape_path, styled, worded};

/// Prints every finding, and then a summary.
pub(crate) fn write(report: &LintReport, directory: &Path, terminal: &mut Terminal) -> Result<(), CliError> {
    let renderer = terminal.renderer();
    for finding in &report.findings {
        terminal.println(format_args!("{}\n", render(finding, directory, &renderer)))?;
    }
    terminal.println(summary(report))
}

fn render(finding: &Finding, directory: &Path, renderer: &Renderer) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let title = level.primary_title(finding.message.as_str()).id(finding.id.as_str());
    let primary_line = finding.location.as_ref().map(|place| SourceLine::new(place, directory));
    let related = finding
        .related
        .as_ref()
        .map(|related| (SourceLine::new(&related.location, directory), &related.label));
    let mut group = Group::with_title(title);
    if let Some(line) = &primary_line {
        let mut primary = AnnotationKind::Primary.span(line.span.clone());
        if !finding.label.is_empty() {
            primary = primary.label(finding.label.as_str());
        }
        group = group.element(line.snippet(primary));
    }
    if let Some((line, label)) = &related {
        group = group
            .element(line.snippet(AnnotationKind::Context.span(line.span.clone()).label(label.as_str())));
    }
    let mut groups = vec![group];
    let remedy = worded(&finding.remedy);
    if !remedy.is_empty() {
        groups.push(Group::with_title(Level::HELP.secondary_title(remedy.as_str())));
    }
    renderer.render(&groups).to_string()
}

/// A location as a source line.
struct SourceLine {
    name: String,
    line: usize,
    text: String,
    span: std::ops::Range<usize>,
}

impl SourceLine {
    fn new(place: &Location, directory: &Path) -> Self {
        let (text, span) = escaped_line(place);
        let name = file(place, directory).map_or("(command line)".into(), escape_path);
        Self { name, line: (place.line as usize).max(1), text, span }
    }

    fn snippet<'a>(&'a self, annotation: Annotation<'a>) -> Snippet<'a, Annotation<'a>> {
        Snippet::source(self.text.as_str())
            .path(self.name.as_str())
            .line_start(self.line)
            .annotation(annotation)
    }
}

fn summary(report: &LintReport) -> String {
    let scope = format!("{} in {}", count(report.rules, "rule"), count(report.files, "file"));
    if report.findings.is_empty() {
        return format!("{}: {scope}", styled(GOOD, "nothing found"));
    }
    let counts: Vec<String> = [
        (Severity::Error, "error", ERROR),
        (Severity::Warning, "warning", WARNING),
        (Severity::Note, "note", NAME),
    ]
    .into_iter()
    .filter(|(severity, ..)| report.count(*severity) > 0)
    .map(|(severity, word, style)| styled(style, count(report.count(severity), word)).to_string())
    .collect();
    format!("{} in {scope}", counts.join(", "))
}
