//! `devrun wait`: whether the files as they are now run.

use std::time::Duration;

use devrun::control::protocol::{ServiceOutcome, WaitOutcome, WaitParams, Waited, WaitedService};
use serde_json::json;

use super::instances::{self, Instance, no_answer, request_error};
use super::ps::VERSION;
use crate::cli::control::Target;
use crate::ui::{CliError, ERROR, ExitCode, GOOD, Terminal, WARNING, escape_text, styled, time};

/// Time that devrun has for an answer after the timeout of the request.
const ANSWER_TIME: Duration = Duration::from_secs(2);

/// Waits, and prints what became of the files.
pub(super) async fn run(
    target: &Target,
    timeout: Option<Duration>,
    terminal: &mut Terminal,
) -> Result<ExitCode, CliError> {
    let begin = tokio::time::Instant::now();
    let mut code = ExitCode::Success;
    let mut all = Vec::new();
    for Instance { mut client, hello, services } in instances::named(target).await? {
        let left = timeout.map(|timeout| timeout.saturating_sub(begin.elapsed()).as_millis());
        let timeout_ms = left.map(|left| u64::try_from(left).unwrap_or(u64::MAX));
        let params = WaitParams { services, timeout_ms };
        // devrun answers within the timeout, unless it is suspended meanwhile.
        let patience = timeout.map_or(Duration::MAX, |timeout| timeout.saturating_add(ANSWER_TIME));
        let waited = tokio::time::timeout(patience, client.wait(params)).await;
        let waited =
            waited.map_err(|_| CliError { exit_code: ExitCode::Late, ..no_answer(&hello.instance.name) })?;
        let waited = waited.map_err(|error| request_error(&error))?;
        code = worse(code, exit_code(waited.outcome));
        if !target.json {
            print(&waited, terminal)?;
        }
        all.push(waited);
    }
    if target.json {
        let services: Vec<_> = all.iter().flat_map(|waited| &waited.services).collect();
        let outcome = match code {
            ExitCode::Success => "ready",
            ExitCode::Late => "late",
            _ => "failed",
        };
        let took_us = all.iter().map(|waited| waited.took_us).max();
        let answer =
            json!({ "version": VERSION, "outcome": outcome, "took_us": took_us, "services": services });
        terminal.println_data(answer)?;
    }
    Ok(code)
}

fn exit_code(outcome: WaitOutcome) -> ExitCode {
    match outcome {
        WaitOutcome::Ready => ExitCode::Success,
        WaitOutcome::Late => ExitCode::Late,
        _ => ExitCode::Findings,
    }
}

/// A failure is worse than a late answer.
fn worse(one: ExitCode, other: ExitCode) -> ExitCode {
    match (one, other) {
        (ExitCode::Findings, _) | (_, ExitCode::Success) => one,
        _ => other,
    }
}

fn print(waited: &Waited, terminal: &mut Terminal) -> Result<(), CliError> {
    let took = time(Duration::from_micros(waited.took_us));
    for service in &waited.services {
        let WaitedService { service: name, outcome, generation, failure, .. } = service;
        let name = escape_text(name);
        let generation =
            generation.map(|generation| format!(" (generation {generation})")).unwrap_or_default();
        let message = failure.as_ref().map(|failure| escape_text(&failure.message)).unwrap_or_default();
        let (style, words) = match outcome {
            ServiceOutcome::Ready => (GOOD, format!("is ready{generation}, after {took}")),
            ServiceOutcome::Finished => (GOOD, format!("has finished with status 0{generation}")),
            ServiceOutcome::Failed => (ERROR, format!("has failed{generation}: {message}")),
            ServiceOutcome::Exited => (ERROR, format!("has ended{generation}: {message}")),
            ServiceOutcome::Paused => (WARNING, "is paused: the changes wait for `devrun resume`".to_owned()),
            ServiceOutcome::Halted => (WARNING, "is stopped: `devrun start` starts it".to_owned()),
            ServiceOutcome::NotStarted => (WARNING, "waits for its first change (--postpone)".to_owned()),
            _ => (WARNING, format!("is not ready after {took}")),
        };
        terminal.println(format_args!("{name} {}", styled(style, words)))?;
        for line in failure.iter().flat_map(|failure| &failure.output) {
            terminal.println(format_args!("  {}", escape_text(line)))?;
        }
    }
    Ok(())
}
