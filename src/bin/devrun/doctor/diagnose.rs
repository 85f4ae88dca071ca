//! `devrun doctor`: what would go wrong here, and how to mend it. Gathers symptoms, and shows them.

use serde_json::{Value, json};

use super::finding::{Level, Symptom};
use super::{checks, event_probe as probe};
use crate::config::settings::Settings;
use crate::ui::error::{CliError, ExitCode};
use crate::ui::escape::{escape_path, escape_text};
use crate::ui::style::{ERROR, FAINT, GOOD, HELP, NAME, WARNING, styled};
use crate::ui::terminal::Terminal;

/// The version of what `--format json` writes.
const VERSION: u32 = 1;

/// What is asked.
#[derive(Debug)]
pub(crate) struct Question {
    /// As JSON.
    pub(crate) json: bool,
    /// Try events in the roots too.
    pub(crate) probe_roots: bool,
}

/// Looks for what would go wrong here. Bad settings are one of its findings.
pub(crate) fn run(
    settings: Result<Settings, CliError>,
    question: Question,
    terminal: &mut Terminal,
) -> Result<ExitCode, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::failed_to("start the runtime", &error))?;
    let (mut symptoms, settings) = configuration(settings)?;
    terminal.set_status("looking at limits, roots and ports");
    symptoms.extend(checks::limits());
    symptoms.extend(runtime.block_on(checks::watching(&settings)));
    terminal.set_status("waiting for an event");
    symptoms.push(runtime.block_on(tried_in_temporary_directory()));
    if question.probe_roots {
        symptoms.extend(runtime.block_on(tried_in_roots(&settings)));
    }
    symptoms.extend(checks::ports(&settings));
    symptoms.extend(checks::git(&settings));
    symptoms.extend(checks::command(&settings));
    symptoms.extend(checks::project(&settings));
    terminal.clear_status();
    show(&symptoms, question.json, terminal)?;
    let ill = symptoms.iter().any(|symptom| symptom.level >= Level::Warning);
    Ok(if ill { ExitCode::Findings } else { ExitCode::Success })
}

/// The settings, or what is wrong with them, and then the defaults to go on with.
fn configuration(settings: Result<Settings, CliError>) -> Result<(Vec<Symptom>, Settings), CliError> {
    match settings {
        Ok(settings) => {
            let message = match &settings.config {
                Some(path) => format!("{} is valid", settings.shown(path)),
                None => "no devrun.toml: the defaults hold".into(),
            };
            Ok((vec![Symptom::good("configuration", message)], settings))
        }
        Err(failure) => {
            let place = failure.span().map(|span| format!("{}: ", span.location())).unwrap_or_default();
            let message = [&[format!("{place}{}", failure.message())], failure.causes()].concat().join(": ");
            let symptom = Symptom::error("configuration", message, failure.remedy().unwrap_or_default());
            Ok((vec![symptom], Settings::defaults()?))
        }
    }
}

async fn tried_in_temporary_directory() -> Symptom {
    let directory = std::env::temp_dir();
    let shown = escape_path(&directory);
    judged("event-self-test", &format!("a new directory in {shown}"), probe::in_temporary_directory().await)
}

async fn tried_in_roots(settings: &Settings) -> Vec<Symptom> {
    let mut symptoms = Vec::new();
    for root in settings.watch.roots.iter().filter(|root| root.is_dir()) {
        let outcome = probe::in_directory(root).await;
        symptoms.push(judged("event-in-root", &settings.shown(root), outcome));
    }
    symptoms
}

fn judged(id: &'static str, place: &str, outcome: probe::Outcome) -> Symptom {
    match outcome {
        probe::Outcome::Came(after) => {
            let after = after.as_secs_f64() * 1000.0;
            Symptom::good(id, format!("a change in {place} was told after {after:.1} ms"))
        }
        probe::Outcome::Lost => Symptom::error(
            id,
            format!("a file was written in {place}, and no event came"),
            "use --mode stat there: it looks instead of waiting to be told",
        ),
        probe::Outcome::Untried(why) => {
            Symptom::note(id, format!("events could not be tried in {place}: {}", escape_text(&why)), "")
        }
    }
}

fn show(symptoms: &[Symptom], json: bool, terminal: &mut Terminal) -> Result<(), CliError> {
    if json {
        let checks: Vec<Value> = symptoms
            .iter()
            .map(|symptom| {
                json!({
                    "id": symptom.id,
                    "level": symptom.level.name(),
                    "message": symptom.message,
                    "remedy": symptom.remedy,
                })
            })
            .collect();
        return terminal.println(json!({ "version": VERSION, "checks": checks }));
    }
    for symptom in symptoms {
        let style = match symptom.level {
            Level::Good => GOOD,
            Level::Note => HELP,
            Level::Warning => WARNING,
            Level::Error => ERROR,
        };
        let level = styled(style, format!("{:<7}", symptom.level.name()));
        terminal.println(format_args!("{level}  {}: {}", styled(NAME, symptom.id), symptom.message))?;
        for line in symptom.remedy.lines() {
            terminal.println(format_args!("         {} {line}", styled(FAINT, "help:")))?;
        }
    }
    Ok(())
}
