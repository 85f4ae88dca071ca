//! `devrun attach`: types into COMMAND.

use std::io::IsTerminal as _;
use std::time::Duration;

use devrun::control::protocol::{Bytes, ClientNotification, Nothing, ServerNotification};
use tokio::signal::unix::{SignalKind, signal};

use super::instances::{self, Instance, request_error};
use super::stdin_lines::stdin_lines;
use crate::cli::control::Target;
use crate::ui::{CliError, ExitCode, FAINT, Terminal, styled};

/// Time without output after which a script that has sent all its input is detached.
const QUIET_TIME: Duration = Duration::from_millis(500);

/// Sends typed lines to COMMAND, and prints its output.
pub(super) async fn run(target: &Target, terminal: &mut Terminal) -> Result<ExitCode, CliError> {
    let Instance { mut client, services, .. } = instances::only(target).await?;
    let failed = |error| CliError::failed_to("handle signals", &error);
    let mut interrupts = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut quits = signal(SignalKind::quit()).map_err(failed)?;
    client.attach(services.into_iter().next()).await.map_err(|error| request_error(&error))?;
    let is_terminal = std::io::stdin().is_terminal();
    let mut lines = stdin_lines();
    let mut has_ended_input = false;
    let mut greeting = is_terminal.then_some("attached; Ctrl-\\ detaches, Ctrl-C interrupts COMMAND");
    loop {
        tokio::select! {
            notification = client.next_notification() => {
                match notification.map_err(|error| request_error(&error))? {
                    Some(ServerNotification::Log(entry)) => {
                        if let Some(greeting) = greeting.take() {
                            terminal.eprintln(styled(FAINT, greeting));
                        }
                        terminal.print_bytes(&entry.output.to_vec())?;
                        terminal.flush()?;
                    }
                    Some(_) => {}
                    None => {
                        terminal.eprintln(styled(FAINT, "detached: the generation has ended"));
                        return Ok(ExitCode::Success);
                    }
                }
            }
            line = lines.recv(), if !has_ended_input => match line {
                Some(line) => {
                    let input = ClientNotification::Input(Bytes::new(&line));
                    client.notify(&input).await.map_err(|error| request_error(&error))?;
                }
                None if is_terminal => break,
                None => has_ended_input = true,
            },
            _ = interrupts.recv() => {
                let interrupt = ClientNotification::Interrupt(Nothing {});
                client.notify(&interrupt).await.map_err(|error| request_error(&error))?;
            }
            _ = quits.recv() => break,
            () = tokio::time::sleep(QUIET_TIME), if has_ended_input => break,
        }
    }
    terminal.eprintln(styled(FAINT, "detached: COMMAND goes on"));
    Ok(ExitCode::Success)
}
