//! `devrun ps`: what runs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use devrun::control::protocol::{ServiceStatus, State, Status};
use serde_json::json;
use unicode_width::UnicodeWidthStr as _;

use super::instances::{self, Instance, request_error};
use crate::cli::control::Target;
use crate::ui::{
    CliError, ERROR, ExitCode, FAINT, GOOD, Terminal, WARNING, escape_path, escape_text, running_time, size,
    styled,
};

/// The version of the output of `--json`.
pub(super) const VERSION: u32 = 1;
const COLUMNS: [&str; 8] = ["NAME", "STATE", "PID", "SINCE", "RESTARTS", "MEMORY", "CPU", "ADDRESS"];

/// Prints the services.
pub(super) async fn run(target: &Target, all: bool, terminal: &mut Terminal) -> Result<ExitCode, CliError> {
    let instances = if all { instances::all().await? } else { instances::named(target).await? };
    let mut statuses = Vec::new();
    for Instance { mut client, services, .. } in instances {
        match client.status(&services).await {
            Ok(status) => statuses.push(status),
            // Another project's devrun may end at this moment.
            Err(error) if all => tracing::debug!(%error, "no status"),
            Err(error) => return Err(request_error(&error)),
        }
    }
    if target.json {
        terminal.println_data(json!({ "version": VERSION, "instances": statuses }))?;
        return Ok(ExitCode::Success);
    }
    if statuses.is_empty() {
        terminal.println("no devrun runs; `devrun -- COMMAND` starts one")?;
    }
    for (index, status) in statuses.iter().enumerate() {
        if all {
            let gap = if index > 0 { "\n" } else { "" };
            terminal.println(format_args!("{gap}{}", escape_path(&status.instance.project())))?;
        }
        print_status(status, terminal)?;
    }
    Ok(ExitCode::Success)
}

fn print_status(status: &Status, terminal: &mut Terminal) -> Result<(), CliError> {
    let rows: Vec<_> = status.services.iter().map(|service| row(&status.instance.name, service)).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].width());
        cells.chain([COLUMNS[column].width()]).max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..COLUMNS.len()).map(width).collect();
    let line = |cells: &[&str]| {
        let padded = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell}{}", " ".repeat(width.saturating_sub(cell.width()))));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    terminal.println(styled(FAINT, line(&COLUMNS)))?;
    for (row, service) in rows.iter().zip(&status.services) {
        let text = line(&row.each_ref().map(String::as_str));
        let style = match service.state {
            State::Ready => GOOD,
            State::Failed | State::BuildFailed => ERROR,
            State::Exited => WARNING,
            _ => FAINT,
        };
        // The state is the second column, so its colour covers the words from its first one on.
        let (name, rest) = text.split_at(text.find(&row[1]).unwrap_or_default());
        let (state, rest) = rest.split_at(row[1].len().min(rest.len()));
        terminal.println(format_args!("{name}{}{rest}", styled(style, state)))?;
        print_details(service, terminal)?;
    }
    Ok(())
}

fn print_details(service: &ServiceStatus, terminal: &mut Terminal) -> Result<(), CliError> {
    if let Some(failure) = &service.failure {
        let serving = match service.serving {
            Some(serving) => format!("; generation {serving} goes on serving"),
            None => String::new(),
        };
        terminal.println(format_args!("  {}{serving}", escape_text(&failure.message)))?;
        // The error itself stands at the end of a traceback of Python, and above the stack of Node.
        let is_error = |line: &&String| {
            ["Error", "error", "Exception", "panicked"].iter().any(|word| line.contains(word))
        };
        if let Some(line) = failure.output.iter().rfind(is_error).or(failure.output.last()) {
            terminal.println(format_args!("  {}", escape_text(line)))?;
        }
    }
    if let Some(held @ 1..) = service.held_requests {
        terminal.println(format_args!("  {held} requests wait"))?;
    }
    Ok(())
}

fn row(instance: &str, service: &ServiceStatus) -> [String; COLUMNS.len()] {
    // An instance whose name got a number shows that name, because its user types it.
    let name = if instance.starts_with(&service.name) { instance } else { &service.name };
    let generation = service.generation.map(|generation| format!(" (gen {generation})")).unwrap_or_default();
    let mut state =
        format!("{}{generation}", if service.halted { "stopped" } else { service.state.as_str() });
    if service.paused {
        state += ", paused";
    }
    let failed = match service.failed_restarts {
        0 => String::new(),
        failed => format!(" ({failed} failed)"),
    };
    [
        escape_text(name).into_owned(),
        state,
        service.pid.map(|pid| pid.to_string()).unwrap_or_default(),
        running_time(since(service.since_us)),
        format!("{}{failed}", service.restarts),
        service.memory_bytes.map(size).unwrap_or_default(),
        service.cpu_us.map(|cpu| running_time(Duration::from_micros(cpu))).unwrap_or_default(),
        service.addresses.first().or(service.upstream.as_ref()).cloned().unwrap_or_default(),
    ]
}

/// Time since a moment in microseconds since 1970.
pub(super) fn since(moment_us: u64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_micros(moment_us))
}
