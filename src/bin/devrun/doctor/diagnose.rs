//! Runs all checks and prints their findings: each check with its result, a message and a remedy.

use super::{event_test, project_checks, system_checks, watch_checks};
use crate::cli::values::Format;
use crate::config::Settings;
use crate::project;
use crate::run::event_loop;
use crate::ui::{CliError, ERROR, ExitCode, FAINT, GOOD, HELP, NAME, Object, Terminal, WARNING, styled};

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
    let runtime = event_loop()?;
    let (configuration, settings) = check_configuration(settings)?;
    let mut findings = vec![configuration];
    terminal.set_status("checking limits, roots and ports");
    findings.extend(system_checks::limits());
    let project = project::recognise(&settings.base);
    findings.extend(runtime.block_on(watch_checks::run(&settings, &project)));
    terminal.set_status("waiting for an event");
    findings.push(runtime.block_on(event_test::test_temporary_directory()));
    if event_tests == EventTests::TemporaryDirectoryAndRoots {
        findings.extend(runtime.block_on(event_test::test_roots(&settings)));
    }
    findings.extend(system_checks::addresses(&settings));
    findings.extend(project_checks::git(&settings));
    findings.extend(project_checks::command(&settings));
    findings.extend(project_checks::project_kind(&settings, &project));
    terminal.clear_status();
    match format {
        Format::Human => findings.iter().try_for_each(|finding| finding.print(terminal))?,
        Format::Json => {
            let checks = findings.iter().map(Finding::object);
            terminal.println_data(Object::default().list("checks", checks).set("version", VERSION))?;
        }
    }
    let has_problem = findings.iter().any(|finding| finding.level >= Level::Warning);
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
            Ok((good("configuration", message), settings))
        }
        Err(error) => {
            let location =
                error.span.as_ref().map(|span| format!("{}: ", span.location())).unwrap_or_default();
            let message = format!("{location}{}", error.message);
            let message = [vec![message], error.causes].concat().join(": ");
            let finding = failure("configuration", message).with_remedy(error.remedy.unwrap_or_default());
            Ok((finding, Settings::defaults()?))
        }
    }
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    /// The check found no problem.
    Good,
    /// Worth knowing.
    Note,
    /// A problem that will show sooner or later.
    Warning,
    /// A problem that stops devrun or COMMAND now.
    Error,
}

impl Level {
    /// The name in both formats.
    fn name(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// The stable name of the check.
    id: &'static str,
    level: Level,
    message: String,
    /// What the user can do; may be empty.
    remedy: String,
}

/// A check that found no problem.
pub(super) fn good(id: &'static str, message: impl Into<String>) -> Finding {
    Finding { id, level: Level::Good, message: message.into(), remedy: String::new() }
}

/// Something worth knowing.
pub(super) fn note(id: &'static str, message: impl Into<String>) -> Finding {
    Finding { level: Level::Note, ..good(id, message) }
}

/// A problem that will show sooner or later.
pub(super) fn warning(id: &'static str, message: impl Into<String>) -> Finding {
    Finding { level: Level::Warning, ..good(id, message) }
}

/// A problem that stops devrun or COMMAND now.
pub(super) fn failure(id: &'static str, message: impl Into<String>) -> Finding {
    Finding { level: Level::Error, ..good(id, message) }
}

impl Finding {
    /// Adds what the user can do, in one line or several.
    #[must_use]
    pub(super) fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    fn object(&self) -> Object {
        Object::default()
            .set("id", self.id)
            .set("level", self.level.name())
            .set("message", self.message.as_str())
            .set("remedy", self.remedy.as_str())
    }

    /// Prints the finding for people.
    fn print(&self, terminal: &mut Terminal) -> Result<(), CliError> {
        let style = match self.level {
            Level::Good => GOOD,
            Level::Note => HELP,
            Level::Warning => WARNING,
            Level::Error => ERROR,
        };
        let level = styled(style, format!("{:<7}", self.level.name()));
        terminal.println(format_args!("{level}  {}: {}", styled(NAME, self.id), self.message))?;
        for line in self.remedy.lines() {
            terminal.println(format_args!("         {} {line}", styled(FAINT, "help:")))?;
        }
        Ok(())
    }
}
