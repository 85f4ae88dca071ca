//! `devrun why`: the last restarts, with reason, times and outcome.

use std::time::Duration;

use devrun::control::protocol::{Cause, Change, Proof, Restart, RestartOutcome, WhyParams};
use serde_json::json;

use super::instances::{self, Instance, request_error};
use super::ps::{VERSION, since};
use crate::cli::control::Target;
use crate::ui::{
    CliError, ERROR, ExitCode, FAINT, GOOD, Terminal, count, escape_path, escape_text, running_time, styled,
    time,
};

/// Maximum number of changed files that are printed for a restart.
const MAX_CHANGES: usize = 10;

/// Prints the last restarts, the newest last.
pub(super) async fn run(
    target: &Target,
    number: usize,
    terminal: &mut Terminal,
) -> Result<ExitCode, CliError> {
    let mut histories = Vec::new();
    for Instance { mut client, services, .. } in instances::named(target).await? {
        let params = WhyParams { services, limit: Some(number) };
        let why = client.why(params).await.map_err(|error| request_error(&error))?;
        histories.extend(why.services);
    }
    if target.json {
        terminal.println_data(json!({ "version": VERSION, "services": histories }))?;
        return Ok(ExitCode::Success);
    }
    let has_several = histories.len() > 1;
    for history in &histories {
        if has_several {
            terminal.println(format_args!("{}:", escape_text(&history.service)))?;
        }
        for restart in &history.restarts {
            print(restart, terminal)?;
        }
    }
    Ok(ExitCode::Success)
}

fn print(restart: &Restart, terminal: &mut Terminal) -> Result<(), CliError> {
    let ago = running_time(since(restart.due_us));
    let cause = match restart.cause {
        Cause::FirstStart => "the first start".to_owned(),
        Cause::Change => count(restart.changes.len(), "changed file"),
        Cause::End => "after the end of the one before".to_owned(),
        _ => "as requested".to_owned(),
    };
    let (style, outcome) = match restart.outcome {
        RestartOutcome::InProgress => (FAINT, "in progress"),
        RestartOutcome::Ready => (GOOD, "ready"),
        RestartOutcome::BuildFailed => (ERROR, "the build failed"),
        RestartOutcome::Failed => (ERROR, "failed"),
        RestartOutcome::Exited => (ERROR, "was ready, and has ended"),
        _ => (FAINT, "stopped before it was ready"),
    };
    let generation = restart.generation;
    terminal
        .println(format_args!("{ago} ago: generation {generation}, {cause}: {}", styled(style, outcome)))?;
    for change in restart.changes.iter().take(MAX_CHANGES) {
        terminal.println(format_args!("  {}", sentence(change)))?;
    }
    if let more @ 1.. = restart.changes.len().saturating_sub(MAX_CHANGES) {
        terminal.println(format_args!("  and {}", count(more, "more file")))?;
    }
    let steps = [
        ("built for", restart.build_us),
        ("started after", restart.to_start_us),
        ("ready after", restart.to_ready_us),
    ];
    let steps = steps
        .into_iter()
        .filter_map(|(step, took)| Some(format!("{step} {}", time(Duration::from_micros(took?)))));
    let steps: Vec<_> = steps.collect();
    if !steps.is_empty() {
        terminal.println(format_args!("  {}", styled(FAINT, steps.join(", "))))?;
    }
    if let Some(failure) = &restart.failure {
        terminal.println(format_args!("  {}", escape_text(&failure.message)))?;
        for line in &failure.output {
            terminal.println(format_args!("    {}", escape_text(line)))?;
        }
    }
    Ok(())
}

/// `app.py changed: its content differs, and no rule ignores it`
fn sentence(change: &Change) -> String {
    let proof = match change.proof {
        Proof::Content => "its content differs",
        Proof::Signature => "its size, time or inode differs",
        _ if change.kind == "removed" => "it is gone",
        _ => "it did not exist before",
    };
    format!("{} {}: {proof}, and no rule ignores it", escape_path(&change.path()), escape_text(&change.kind))
}
