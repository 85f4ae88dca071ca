//! Findings as SARIF 2.1.0, the form that code scanning services read.

use devrun::rules::{self, Finding, FindingId, LintReport, Severity};
use serde::Serialize;

use super::location::{Names, character_columns, whole_text};
use crate::ui::byte_string::ByteString;
use crate::ui::error::CliError;
use crate::ui::terminal::Terminal;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";
/// The name by which a service knows the top of the sources.
const SOURCE_ROOT: &str = "%SRCROOT%";

#[derive(Serialize)]
struct Log {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    tool: Tool,
    column_kind: &'static str,
    results: Vec<ResultEntry>,
}

#[derive(Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Serialize)]
struct Driver {
    name: &'static str,
    version: &'static str,
    rules: Vec<RuleEntry>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RuleEntry {
    id: &'static str,
    short_description: Text,
    default_configuration: Configuration,
}

#[derive(Serialize)]
struct Configuration {
    level: &'static str,
}

#[derive(Serialize)]
struct Text {
    text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResultEntry {
    rule_id: &'static str,
    rule_index: usize,
    level: &'static str,
    message: Text,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    locations: Vec<Location>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    related_locations: Vec<Location>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    physical_location: PhysicalLocation,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Text>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: ArtifactLocation,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ArtifactLocation {
    uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri_base_id: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: u32,
    start_column: usize,
    end_column: usize,
    snippet: Snippet,
}

#[derive(Serialize)]
struct Snippet {
    text: String,
    /// The line in base64 if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    binary: Option<String>,
}

/// Writes the log.
pub(crate) fn write(report: &LintReport, names: &Names, terminal: &mut Terminal) -> Result<(), CliError> {
    let driver = Driver {
        name: "devrun",
        version: env!("CARGO_PKG_VERSION"),
        rules: FindingId::ALL.iter().copied().map(rule).collect(),
    };
    let results = report.findings.iter().map(|finding| result(finding, names)).collect();
    let run = Run { tool: Tool { driver }, column_kind: "unicodeCodePoints", results };
    let log = Log { schema: SCHEMA, version: "2.1.0", runs: [run] };
    let text =
        serde_json::to_string_pretty(&log).map_err(|error| CliError::failed_to("write JSON", &error))?;
    terminal.println(text)
}

fn rule(id: FindingId) -> RuleEntry {
    RuleEntry {
        id: id.as_str(),
        short_description: Text { text: id.meaning().into() },
        default_configuration: Configuration { level: level(id.severity()) },
    }
}

fn level(severity: Severity) -> &'static str {
    severity.as_str()
}

fn result(finding: &Finding, names: &Names) -> ResultEntry {
    let related = finding.related.as_ref();
    ResultEntry {
        rule_id: finding.id.as_str(),
        rule_index: FindingId::ALL.iter().position(|id| *id == finding.id).unwrap_or_default(),
        level: level(finding.severity),
        message: Text { text: whole_text(finding) },
        locations: finding.location.iter().filter_map(|place| location(place, None, names)).collect(),
        related_locations: related
            .and_then(|related| location(&related.location, Some(&related.label), names))
            .into_iter()
            .collect(),
    }
}

fn location(place: &rules::Location, message: Option<&str>, names: &Names) -> Option<Location> {
    let file = place.file.as_deref()?;
    let named = names.path(file);
    let uri = encoded(named.as_os_str().as_encoded_bytes());
    let artifact_location = if named.is_absolute() {
        ArtifactLocation { uri: format!("file://{uri}"), uri_base_id: None }
    } else {
        ArtifactLocation { uri, uri_base_id: Some(SOURCE_ROOT) }
    };
    let region = (place.line > 0).then(|| {
        let (start_column, end_column) = character_columns(place);
        let line = ByteString::new(place.text.clone());
        let snippet = Snippet { text: line.to_text().into_owned(), binary: line.to_base64() };
        Region { start_line: place.line, start_column, end_column, snippet }
    });
    let message = message.map(|text| Text { text: text.into() });
    Some(Location { physical_location: PhysicalLocation { artifact_location, region }, message })
}

/// A path as a URI reference (RFC 3986): all but unreserved characters and the slash is encoded.
fn encoded(path: &[u8]) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path {
        match byte {
            b'\\' if cfg!(windows) => uri.push('/'),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(*byte))
            }
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}
