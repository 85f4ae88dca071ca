//! `devrun logs`: the output of COMMAND.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::ops::ControlFlow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anstream::adapter::strip_bytes;
use devrun::control::protocol::{LogEntry, LogsParams, ServerNotification};
use devrun::control::{Client, Error};
use regex::bytes::Regex;

use super::instances::{self, Instance, request_error};
use crate::cli::control::Target;
use crate::ui::{CliError, ExitCode, FAINT, Terminal, size, styled};

/// Maximum length of a line that is compared as a whole.
const MAX_LINE: usize = 64 * 1024;

/// Which output.
#[derive(Debug)]
pub(super) struct Selection {
    pub follow: bool,
    pub since: Option<Duration>,
    pub grep: Option<Regex>,
    pub generation: Option<u64>,
}

/// Prints the output.
pub(super) async fn run(
    target: &Target,
    selection: &Selection,
    terminal: &mut Terminal,
) -> Result<ExitCode, CliError> {
    let instances = if selection.follow {
        vec![instances::only(target).await?]
    } else {
        instances::named(target).await?
    };
    let services: usize = instances
        .iter()
        .map(|one| if one.services.is_empty() { one.hello.services.len() } else { one.services.len() })
        .sum();
    let mut printer = Printer {
        selection,
        json: target.json,
        has_prefix: services > 1,
        keeps_escapes: std::io::stdout().is_terminal(),
        lines: BTreeMap::new(),
        terminal,
    };
    for Instance { client, services, .. } in instances {
        printer.print_all(client, services).await?;
    }
    Ok(ExitCode::Success)
}

/// Prints entries as lines.
struct Printer<'a> {
    selection: &'a Selection,
    json: bool,
    /// Whether each line begins with the name of its service.
    has_prefix: bool,
    keeps_escapes: bool,
    /// The beginning of the last line of each stream.
    lines: BTreeMap<(String, String), Vec<u8>>,
    terminal: &'a mut Terminal,
}

impl Printer<'_> {
    async fn print_all(&mut self, mut client: Client, services: Vec<String>) -> Result<(), CliError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let since = self.selection.since.map(|since| now.saturating_sub(since).as_micros());
        let params = LogsParams {
            services,
            follow: self.selection.follow,
            since_us: since.map(|since| u64::try_from(since).unwrap_or(u64::MAX)),
            generation: self.selection.generation,
        };
        let mut result = Ok(());
        let end = client
            .logs(params, |notification| {
                result = self.print(&notification);
                if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })
            .await;
        result?;
        match end {
            // A followed devrun has ended.
            Err(Error::Closed) if self.selection.follow => {}
            Err(error) => return Err(request_error(&error)),
            Ok(()) => {}
        }
        self.print_unfinished()
    }

    fn print(&mut self, notification: &ServerNotification) -> Result<(), CliError> {
        match notification {
            ServerNotification::Log(entry) if self.json => {
                self.terminal.println_data(serde_json::to_string(entry).unwrap_or_default())?;
            }
            ServerNotification::Log(entry) => self.print_entry(entry)?,
            ServerNotification::Dropped { service, bytes } if self.json => {
                self.terminal
                    .println_data(serde_json::json!({ "service": service, "dropped_bytes": bytes }))?;
            }
            ServerNotification::Dropped { bytes, .. } => {
                self.print_unfinished()?;
                self.terminal.flush()?;
                self.terminal.eprintln(styled(FAINT, format_args!("({} are not kept)", size(*bytes))));
            }
            _ => {}
        }
        if self.selection.follow { self.terminal.flush() } else { Ok(()) }
    }

    fn print_entry(&mut self, entry: &LogEntry) -> Result<(), CliError> {
        let bytes = entry.output.to_vec();
        let is_plain = self.selection.grep.is_none() && !self.has_prefix;
        // An unfinished line, such as a prompt, is printed at once where it need not be compared.
        if is_plain {
            return self.print_bytes(&bytes);
        }
        let key = (entry.service.clone(), entry.stream.clone());
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let line = self.lines.entry(key.clone()).or_default();
            line.extend_from_slice(part);
            if line.ends_with(b"\n") || line.len() > MAX_LINE {
                let line = std::mem::take(line);
                self.print_line(&entry.service, &line)?;
            }
        }
        Ok(())
    }

    fn print_line(&mut self, service: &str, line: &[u8]) -> Result<(), CliError> {
        let plain = strip_bytes(line).into_vec();
        let text = plain.strip_suffix(b"\n").unwrap_or(&plain);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if self.selection.grep.as_ref().is_some_and(|grep| !grep.is_match(text)) {
            return Ok(());
        }
        if self.has_prefix {
            self.terminal.print(format_args!("{} | ", styled(FAINT, service)))?;
        }
        self.print_bytes(line)
    }

    fn print_bytes(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        if self.keeps_escapes {
            self.terminal.print_bytes(bytes)
        } else {
            self.terminal.print_bytes(&strip_bytes(bytes).into_vec())
        }
    }

    /// Prints the last lines, which have no end.
    fn print_unfinished(&mut self) -> Result<(), CliError> {
        for ((service, _), mut line) in std::mem::take(&mut self.lines) {
            if !line.is_empty() {
                line.push(b'\n');
                self.print_line(&service, &line)?;
            }
        }
        Ok(())
    }
}
