//! The findings of `check` as SARIF 2.1.0, the format of code scanning services.

use std::path::Path;

use devrun::rules::{Finding, FindingId, LintReport, Location};
use serde_json::{Value, json};

use super::finding_text::{character_columns, file, full_text};
use crate::ui::{ByteString, CliError, Terminal};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";
/// The name that services give to the top directory of the sources.
const SOURCE_ROOT: &str = "%SRCROOT%";

/// Prints the findings as one SARIF log.
pub(crate) fn write(report: &LintReport, directory: &Path, terminal: &mut Terminal) -> Result<(), CliError> {
    let rules: Vec<Value> = FindingId::ALL.iter().map(|id| rule(*id)).collect();
    let results: Vec<Value> = report.findings.iter().map(|finding| result(finding, directory)).collect();
    let driver = json!({ "name": "devrun", "version": env!("CARGO_PKG_VERSION"), "rules": rules });
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{ "tool": { "driver": driver }, "columnKind": "unicodeCodePoints", "results": results }],
    });
    terminal.println_data(format_args!("{log:#}"))
}

/// The levels of SARIF have the names that devrun uses.
fn rule(id: FindingId) -> Value {
    json!({
        "id": id.as_str(),
        "shortDescription": { "text": id.meaning() },
        "defaultConfiguration": { "level": id.severity().as_str() },
    })
}

fn result(finding: &Finding, directory: &Path) -> Value {
    let mut result = json!({
        "ruleId": finding.id.as_str(),
        "ruleIndex": FindingId::ALL.iter().position(|id| *id == finding.id).unwrap_or_default(),
        "level": finding.severity.as_str(),
        "message": { "text": full_text(finding) },
    });
    if let Some(place) = &finding.location
        && let Some(location) = location(place, directory)
    {
        result["locations"] = json!([location]);
    }
    if let Some(related) = &finding.related
        && let Some(mut location) = location(&related.location, directory)
    {
        location["message"] = json!({ "text": related.label });
        result["relatedLocations"] = json!([location]);
    }
    result
}

/// The location of a finding. `None` for a pattern of the command line, which is in no file.
fn location(place: &Location, directory: &Path) -> Option<Value> {
    let file = file(place, directory)?;
    let uri = encode_uri(file.as_os_str().as_encoded_bytes());
    let artifact = if file.is_absolute() {
        json!({ "uri": format!("file://{uri}") })
    } else {
        json!({ "uri": uri, "uriBaseId": SOURCE_ROOT })
    };
    let mut physical = json!({ "artifactLocation": artifact });
    if place.line > 0 {
        physical["region"] = region(place);
    }
    Some(json!({ "physicalLocation": physical }))
}

fn region(place: &Location) -> Value {
    let (start_column, end_column) = character_columns(place);
    let line = ByteString::new(place.text.clone());
    let mut snippet = json!({ "text": line.to_text() });
    if let Some(base64) = line.to_base64() {
        snippet["binary"] = json!(base64);
    }
    json!({
        "startLine": place.line,
        "startColumn": start_column,
        "endColumn": end_column,
        "snippet": snippet,
    })
}

/// A path as a URI reference (RFC 3986): every byte but unreserved characters and the slash is
/// percent-encoded.
fn encode_uri(path: &[u8]) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(*byte))
            }
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}
