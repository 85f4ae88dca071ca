//! The findings of `check` for people: the line and a caret, as rustc shows them.

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};
use devrun::rules::{Finding, LintReport, Location, Severity};

use super::location::{Names, shown_line};
use crate::ui::error::CliError;
use crate::ui::escape::escape_path;
use crate::ui::remedy::worded;
use crate::ui::style::{ERROR, GOOD, NAME, WARNING, styled};
use crate::ui::terminal::Terminal;

/// Writes all of it.
pub(crate) fn write(report: &LintReport, names: &Names, terminal: &mut Terminal) -> Result<(), CliError> {
    let renderer = terminal.renderer();
    for finding in &report.findings {
        terminal.println(format_args!("{}\n", render(finding, names, &renderer)))?;
    }
    terminal.println(summary(report))
}

fn render(finding: &Finding, names: &Names, renderer: &Renderer) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let title = level.primary_title(finding.message.as_str()).id(finding.id.as_str());
    let place = finding.location.as_ref().map(|place| Shown::new(place, names));
    let related =
        finding.related.as_ref().map(|related| (Shown::new(&related.location, names), &related.label));
    let mut group = Group::with_title(title);
    if let Some(shown) = &place {
        let mut primary = AnnotationKind::Primary.span(shown.span.clone());
        if !finding.label.is_empty() {
            primary = primary.label(finding.label.as_str());
        }
        group = group.element(shown.snippet(primary));
    }
    if let Some((shown, label)) = &related {
        group = group
            .element(shown.snippet(AnnotationKind::Context.span(shown.span.clone()).label(label.as_str())));
    }
    let mut groups = vec![group];
    let remedy = worded(&finding.remedy);
    if !remedy.is_empty() {
        groups.push(Group::with_title(Level::HELP.secondary_title(remedy.as_str())));
    }
    renderer.render(&groups).to_string()
}

/// A place, ready to be shown.
struct Shown {
    name: String,
    line: usize,
    text: String,
    span: std::ops::Range<usize>,
}

impl Shown {
    fn new(place: &Location, names: &Names) -> Self {
        let (text, span) = shown_line(place);
        let name = match place.file.as_deref() {
            Some(file) => escape_path(names.path(file)),
            None => "(given by hand)".into(),
        };
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
    let counted = |count: usize, one: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {one}s"),
    };
    let scope = format!("{} in {}", counted(report.rules, "rule"), counted(report.files, "file"));
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
    .map(|(severity, word, style)| styled(style, counted(report.count(severity), word)).to_string())
    .collect();
    format!("{} in {scope}", counts.join(", "))
}
