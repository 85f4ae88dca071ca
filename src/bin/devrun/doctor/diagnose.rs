//! Runs all checks and prints their findings.

use serde_json::{Value, json};

use super::event_test::{test_roots, test_temporary_directory};
use super::finding::Finding;
use super::{project_checks, system_checks, watch_checks};
use crate::cli::values::Format;
use crate::config::Settings;
use crate::ui::{CliError, ExitCode, Terminal};

/// The version of the output of `--format json`.
const VERSION: u32 = 1;

/// Where the test of events writes a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventTests {
    TemporaryDirectory,
    TemporaryDirectoryAndRoots,
}

/// Runs all checks. Invalid settings are one of the findings; the other checks then use the defaults.
pub(crate) fn run(
    settings: Result<Settings, CliError>,
    event_tests: EventTests,
    format: Format,
    terminal: &mut Terminal,
) -> Result<ExitCode, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::failed_to("start the event loop", &error))?;
    let (configuration, settings) = check_configuration(settings)?;
    let mut findings = vec![configuration];
    terminal.set_status("checking limits, roots and ports");
    findings.extend(system_checks::limits());
    findings.extend(runtime.block_on(watch_checks::run(&settings)));
    terminal.set_status("waiting for an event");
    findings.push(runtime.block_on(test_temporary_directory()));
    if event_tests == EventTests::TemporaryDirectoryAndRoots {
        findings.extend(runtime.block_on(test_roots(&settings)));
    }
    findings.extend(system_checks::addresses(&settings));
    findings.extend(project_checks::git(&settings));
    findings.extend(project_checks::command(&settings));
    findings.extend(project_checks::project_kind(&settings));
    terminal.clear_status();
    print(&findings, format, terminal)?;
    let has_problem = findings.iter().any(Finding::is_problem);
    Ok(if has_problem { ExitCode::Findings } else { ExitCode::Success })
}

/// Whether the settings are valid, and the settings to use for the other checks.
fn check_configuration(settings: Result<Settings, CliError>) -> Result<(Finding, Settings), CliError> {
    match settings {
        Ok(settings) => {
            let message = match &settings.config {
                Some(path) => format!("{} is valid", settings.shown(path)),
                None => "no devrun.toml: the defaults apply".into(),
            };
            Ok((Finding::good("configuration", message), settings))
        }
        Err(error) => {
            let location =
                error.span.as_ref().map(|span| format!("{}: ", span.location())).unwrap_or_default();
            let message = format!("{location}{}", error.message);
            let message = [vec![message], error.causes].concat().join(": ");
            let finding =
                Finding::error("configuration", message).with_remedy(error.remedy.unwrap_or_default());
            Ok((finding, Settings::defaults()?))
        }
    }
}

fn print(findings: &[Finding], format: Format, terminal: &mut Terminal) -> Result<(), CliError> {
    match format {
        Format::Human => findings.iter().try_for_each(|finding| finding.print(terminal)),
        Format::Json => {
            let checks: Vec<Value> = findings.iter().map(Finding::to_json).collect();
            terminal.println_data(json!({ "version": VERSION, "checks": checks }))
        }
    }
}
