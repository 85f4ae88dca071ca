//! `devrun check`: lints the ignore rules and tests them against expectations, for CI.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};
use devrun::rules::{
    Decision, EntryKind, Expectation, Finding, FindingId, LintOptions, LintReport, Location, Severity, lint,
    tracked_files,
};
use serde_json::{Value, json};

use crate::cli::commands::CheckFormat;
use crate::config::Settings;
use crate::ui::{
    ByteString, CliError, ERROR, ExitCode, GOOD, NAME, Object, Terminal, WARNING, count, escape_bytes,
    escape_path, escape_text, styled, worded,
};

/// Lints the rules and prints the findings.
pub(crate) fn run(
    settings: Settings,
    format: CheckFormat,
    terminal: &mut Terminal,
) -> Result<ExitCode, CliError> {
    let report = lint(&settings.rules()?, &lint_options(&settings)?);
    let (directory, workspace) = (&settings.directory, workspace(&settings.directory));
    match format {
        CheckFormat::Human => {
            let text = human(&report, directory, &terminal.renderer());
            terminal.println(text)
        }
        CheckFormat::Json => terminal.println_data(format_args!("{:#}", object(&report, directory))),
        CheckFormat::Github => {
            let mut findings = report.findings.iter();
            findings.try_for_each(|finding| terminal.println_data(github(finding, &workspace)))
        }
        CheckFormat::Sarif => terminal.println_data(format_args!("{:#}", sarif(&report, &workspace))),
    }?;
    terminal.flush()?;
    for (dir, reason) in &report.unreadable_dirs {
        let message = format!("cannot read {}: {}", settings.shown(dir), escape_text(reason));
        terminal.warn(message, "rule files in it are not checked: make it readable, or ignore it");
    }
    Ok(exit_code(&report, settings.check.strict == Some(true)))
}

/// Findings make the check fail if they are errors, or with `--strict` warnings. Otherwise an unreadable
/// directory does.
fn exit_code(report: &LintReport, strict: bool) -> ExitCode {
    let failing = if strict { Severity::Warning } else { Severity::Error };
    if report.findings.iter().any(|finding| finding.severity >= failing) {
        ExitCode::Findings
    } else if !report.unreadable_dirs.is_empty() {
        ExitCode::Failed
    } else {
        ExitCode::Success
    }
}

fn lint_options(settings: &Settings) -> Result<LintOptions, CliError> {
    let check = &settings.check;
    let selection = settings.selection()?;
    let ignored = check.expect_ignored.iter().flatten().map(|path| (path, Decision::Ignored));
    let watched = check.expect_watched.iter().flatten().map(|path| (path, Decision::Watched));
    let expectation = |(path, expected): (&PathBuf, Decision)| {
        let kind = EntryKind::of_path(path);
        Expectation { path: path.clone(), kind, expected, scope: settings.scope(path, kind, &selection) }
    };
    let mut tracked = Vec::new();
    for root in &settings.session.watch.roots {
        tracked.extend(tracked_below(root)?);
    }
    tracked.sort_unstable();
    tracked.dedup();
    Ok(LintOptions {
        tracked,
        matches_nothing: check.matches_nothing == Some(true),
        expectations: ignored.chain(watched).map(expectation).collect(),
        allow: check.allow.clone().unwrap_or_default(),
        only: check.only.unwrap_or_default(),
    })
}

/// The files under version control below a root. None if git is not installed.
fn tracked_below(root: &Path) -> Result<Vec<PathBuf>, CliError> {
    if !root.is_dir() {
        return Ok(Vec::new());
    }
    match tracked_files(root, std::env::vars_os()) {
        Ok(files) => Ok(files),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(CliError::failed_to("list the files under version control", &error)),
    }
}

/// The directory to which GitHub and SARIF paths are relative: the checked-out repository, not the working
/// directory.
fn workspace(directory: &Path) -> PathBuf {
    let named = std::env::var_os("GITHUB_WORKSPACE").map(PathBuf::from);
    named.filter(|workspace| directory.starts_with(workspace)).unwrap_or_else(|| directory.to_owned())
}

/// Every finding for people, with the source line and carets in the form of rustc, and then a summary.
fn human(report: &LintReport, directory: &Path, renderer: &Renderer) -> String {
    let findings = report.findings.iter().map(|finding| snippet(finding, directory, renderer) + "\n\n");
    findings.collect::<String>() + &summary(report)
}

fn snippet(finding: &Finding, directory: &Path, renderer: &Renderer) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let title = level.primary_title(finding.message.as_str()).id(finding.id.as_str());
    let primary = finding.location.as_ref().map(|place| SourceLine::new(place, directory));
    let related = finding.related.as_ref();
    let related = related.map(|related| (SourceLine::new(&related.location, directory), &related.label));
    let mut group = Group::with_title(title);
    if let Some(line) = &primary {
        group = group.element(line.snippet(AnnotationKind::Primary, &finding.label));
    }
    if let Some((line, label)) = &related {
        group = group.element(line.snippet(AnnotationKind::Context, label));
    }
    let mut groups = vec![group];
    let remedy = worded(&finding.remedy);
    if !remedy.is_empty() {
        groups.push(Group::with_title(Level::HELP.secondary_title(remedy.as_str())));
    }
    renderer.render(&groups).to_string()
}

/// A location as an escaped source line.
struct SourceLine {
    file: String,
    line: usize,
    text: String,
    /// The marked part of `text`.
    span: Range<usize>,
}

impl SourceLine {
    fn new(place: &Location, directory: &Path) -> Self {
        let start = (place.column as usize - 1).min(place.text.len());
        let end = (start + place.len as usize).min(place.text.len());
        let before = escape_bytes(&place.text[..start]);
        let marked = escape_bytes(&place.text[start..end]);
        Self {
            file: file(place, directory).map_or("(command line)".into(), escape_path),
            line: (place.line as usize).max(1),
            span: before.len()..before.len() + marked.len(),
            text: before + &marked + &escape_bytes(&place.text[end..]),
        }
    }

    /// The line with a mark. An empty label is left out.
    fn snippet<'a>(&'a self, kind: AnnotationKind, label: &'a str) -> Snippet<'a, Annotation<'a>> {
        let mark = kind.span(self.span.clone());
        let mark = if label.is_empty() { mark } else { mark.label(label) };
        Snippet::source(self.text.as_str()).path(self.file.as_str()).line_start(self.line).annotation(mark)
    }
}

fn summary(report: &LintReport) -> String {
    let scope = format!("{} in {}", count(report.rules, "rule"), count(report.files, "file"));
    let allowed = if report.allowed > 0 { format!(", {} allowed", report.allowed) } else { String::new() };
    if report.findings.is_empty() {
        return format!("{}: {scope}{allowed}", styled(GOOD, "nothing found"));
    }
    let counts: Vec<String> = [
        (report.count(Severity::Error), "error", ERROR),
        (report.count(Severity::Warning), "warning", WARNING),
        (report.count(Severity::Note), "note", NAME),
    ]
    .into_iter()
    .filter(|(number, ..)| *number > 0)
    .map(|(number, word, style)| styled(style, count(number, word)).to_string())
    .collect();
    format!("{} in {scope}{allowed}", counts.join(", "))
}

/// All findings as one JSON document. docs/ci.md describes it.
fn object(report: &LintReport, directory: &Path) -> Object {
    let summary = Object::default()
        .set("errors", report.count(Severity::Error))
        .set("warnings", report.count(Severity::Warning))
        .set("notes", report.count(Severity::Note))
        .set("allowed", report.allowed)
        .set("files", report.files)
        .set("rules", report.rules)
        .set("directories", report.directories);
    let findings = report.findings.iter().map(|finding| finding_object(finding, directory));
    Object::default().list("findings", findings).object("summary", summary)
}

/// Columns count bytes from 1. `end_column` is the one behind the last marked byte.
fn finding_object(finding: &Finding, directory: &Path) -> Object {
    let place = finding.location.as_ref();
    let file = |place| file(place, directory).map(ByteString::from_path);
    let in_line = place.filter(|place| place.line > 0);
    let object = Object::default()
        .set("id", finding.id.as_str())
        .set("severity", finding.severity.as_str())
        .bytes("file", place.and_then(file))
        .set("line", place.map(|place| place.line.max(1)))
        .set("column", place.map(|place| place.column))
        .set("end_column", place.map(|place| place.column + place.len))
        .bytes("text", in_line.map(|place| ByteString::new(place.text.clone())))
        .set("message", finding.message.as_str())
        .set("remedy", worded(&finding.remedy));
    let Some(related) = &finding.related else { return object };
    let related_object = Object::default()
        .bytes("file", file(&related.location))
        .set("line", related.location.line)
        .set("column", related.location.column)
        .set("message", related.label.as_str());
    object.object("related", related_object)
}

/// A finding as an annotation of GitHub: a workflow command on standard output.
fn github(finding: &Finding, directory: &Path) -> String {
    let escape_message = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let level = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    let mut properties = Vec::new();
    if let Some(place) = &finding.location
        && let Some(file) = file(place, directory)
    {
        let file = escape_message(&file.to_string_lossy()).replace(':', "%3A").replace(',', "%2C");
        properties.push(format!("file={file}"));
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

/// All findings as one log in SARIF 2.1.0, the format of code scanning services.
fn sarif(report: &LintReport, directory: &Path) -> Value {
    // The levels of SARIF have the names that devrun uses.
    let rule = |id: &FindingId| {
        json!({
            "id": id.as_str(),
            "shortDescription": { "text": id.meaning() },
            "defaultConfiguration": { "level": id.severity().as_str() },
        })
    };
    let rules: Vec<Value> = FindingId::ALL.iter().map(rule).collect();
    let results: Vec<Value> =
        report.findings.iter().map(|finding| sarif_result(finding, directory)).collect();
    let driver = json!({ "name": "devrun", "version": env!("CARGO_PKG_VERSION"), "rules": rules });
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{ "tool": { "driver": driver }, "columnKind": "unicodeCodePoints", "results": results }],
    })
}

fn sarif_result(finding: &Finding, directory: &Path) -> Value {
    let mut result = json!({
        "ruleId": finding.id.as_str(),
        "ruleIndex": FindingId::ALL.iter().position(|id| *id == finding.id).unwrap_or_default(),
        "level": finding.severity.as_str(),
        "message": { "text": full_text(finding) },
    });
    if let Some(place) = &finding.location
        && let Some(location) = sarif_location(place, directory)
    {
        result["locations"] = json!([location]);
    }
    if let Some(related) = &finding.related
        && let Some(mut location) = sarif_location(&related.location, directory)
    {
        location["message"] = json!({ "text": related.label });
        result["relatedLocations"] = json!([location]);
    }
    result
}

/// `None` for a pattern of the command line, which is in no file.
fn sarif_location(place: &Location, directory: &Path) -> Option<Value> {
    let file = file(place, directory)?;
    let uri = encode_uri(file.as_os_str().as_encoded_bytes());
    let artifact = if file.is_absolute() {
        json!({ "uri": format!("file://{uri}") })
    } else {
        // The name that services give to the top directory of the sources.
        json!({ "uri": uri, "uriBaseId": "%SRCROOT%" })
    };
    let mut physical = json!({ "artifactLocation": artifact });
    if place.line > 0 {
        let (start_column, end_column) = character_columns(place);
        let line = ByteString::new(place.text.clone());
        let mut snippet = json!({ "text": line.to_text() });
        if let Some(base64) = line.to_base64() {
            snippet["binary"] = json!(base64);
        }
        physical["region"] = json!({
            "startLine": place.line,
            "startColumn": start_column,
            "endColumn": end_column,
            "snippet": snippet,
        });
    }
    Some(json!({ "physicalLocation": physical }))
}

/// A path as a URI reference (RFC 3986): every byte but unreserved characters and the slash is
/// percent-encoded.
fn encode_uri(path: &[u8]) -> String {
    let encode = |byte: &u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
            char::from(*byte).into()
        }
        byte => format!("%{byte:02X}"),
    };
    path.iter().map(encode).collect()
}

/// The file of a location, relative to `directory` if it is below it. `None` for a pattern of the command line,
/// which is in no file.
fn file<'a>(place: &'a Location, directory: &Path) -> Option<&'a Path> {
    let file = place.file.as_deref()?;
    Some(file.strip_prefix(directory).unwrap_or(file))
}

/// Columns of the first marked character and of the character behind the last one. They count characters from
/// 1.
fn character_columns(place: &Location) -> (usize, usize) {
    let column_of =
        |byte: usize| String::from_utf8_lossy(&place.text[..byte.min(place.text.len())]).chars().count() + 1;
    let start = place.column as usize - 1;
    let end = column_of(start + place.len as usize);
    // An empty range still marks one character.
    (column_of(start), end.max(column_of(start) + usize::from(place.len == 0)))
}

/// Message, label and remedy as one text, for formats with a single text.
fn full_text(finding: &Finding) -> String {
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
