//! What an event of the supervisor means for the proxy: a pure function, without channels and sockets.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::change::Batch;
use crate::proxy::{FailureReport, Upstream};
use crate::supervise::{Event, ExitReport, Phase};
use crate::{GenerationId, Remedy};

/// A command to the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ProxyCommand {
    /// Send new requests there.
    Publish(Upstream),
    /// Drain the serving generation, whose successor starts after its end.
    Drain,
    /// Hold new requests, because the serving generation is being stopped.
    Hold,
    /// Show this failure in a banner over the pages of the serving generation, or remove the banner.
    Banner(Option<Arc<FailureReport>>),
    /// End the endless streams of this generation, so that their clients reconnect to new code.
    ReleaseStreams(GenerationId),
    /// No generation lives: answer with this failure on the sockets that the command inherits.
    StartFallback(Arc<FailureReport>),
    /// A generation is about to start: stop answering on these sockets.
    StopFallback,
}

/// Follows the generations as far as the proxy is concerned.
#[derive(Debug)]
pub(super) struct Routing {
    base: PathBuf,
    command_line: String,
    /// What users do to start a command that was halted.
    start_hint: Option<String>,
    /// The changes that caused the restart in progress.
    cause: Option<Arc<Batch>>,
    /// The generation that receives new requests.
    serving: Option<GenerationId>,
    /// The generation that is being built or started.
    starting: Option<GenerationId>,
    /// The generation that was built or started last.
    newest: GenerationId,
    /// The command is stopped on request, until a start is requested.
    halted: bool,
    fallback_runs: bool,
}

impl Routing {
    /// Error pages show changed paths relative to `base`, and the command as `command_line`. The page about a halted
    /// command ends with `start_hint`.
    pub(super) fn new(base: PathBuf, command_line: String, start_hint: Option<String>) -> Self {
        Self {
            base,
            command_line,
            start_hint,
            cause: None,
            serving: None,
            starting: None,
            newest: GenerationId::FIRST,
            halted: false,
            fallback_runs: false,
        }
    }

    /// The commands that follow from an event, in order.
    pub(super) fn commands(&mut self, event: &Event) -> Vec<ProxyCommand> {
        match event {
            Event::Restarting { because, .. } => {
                self.cause.clone_from(because);
                let ends_halt = std::mem::take(&mut self.halted);
                if ends_halt { vec![ProxyCommand::Publish(Upstream::Starting)] } else { Vec::new() }
            }
            Event::Halting => {
                (self.serving, self.starting, self.halted) = (None, None, true);
                vec![ProxyCommand::Publish(Upstream::Down(self.halt_report()))]
            }
            Event::Halted => {
                self.fallback_runs = true;
                vec![ProxyCommand::StartFallback(self.halt_report())]
            }
            Event::Phase { generation, phase } => self.phase(*generation, phase),
            _ => Vec::new(),
        }
    }

    fn phase(&mut self, generation: GenerationId, phase: &Phase) -> Vec<ProxyCommand> {
        match phase {
            Phase::Building | Phase::Starting { .. } => self.starting(generation),
            Phase::Ready { address } => self.ready(generation, *address),
            Phase::Draining if self.serving == Some(generation) => vec![ProxyCommand::Drain],
            Phase::Draining => Vec::new(),
            Phase::Stopping if self.serving == Some(generation) => {
                vec![ProxyCommand::Hold, ProxyCommand::ReleaseStreams(generation)]
            }
            Phase::Stopping => vec![ProxyCommand::ReleaseStreams(generation)],
            Phase::Stopped => self.stopped(generation),
            Phase::Exited(report) | Phase::Failed(report) => self.ended(generation, report, ""),
            Phase::BuildFailed(report) => self.ended(generation, report, "the build "),
        }
    }

    fn starting(&mut self, generation: GenerationId) -> Vec<ProxyCommand> {
        (self.starting, self.newest, self.halted) = (Some(generation), generation, false);
        let mut commands = Vec::new();
        if std::mem::take(&mut self.fallback_runs) {
            commands.push(ProxyCommand::StopFallback);
        }
        if self.serving.is_none() {
            commands.push(ProxyCommand::Publish(Upstream::Starting));
        }
        commands
    }

    fn ready(&mut self, generation: GenerationId, address: Option<SocketAddr>) -> Vec<ProxyCommand> {
        self.starting.take_if(|starting| *starting == generation);
        let previous = self.serving.replace(generation);
        let Some(address) = address else { return Vec::new() };
        let upstream = Upstream::Ready { generation, address };
        let mut commands = vec![ProxyCommand::Publish(upstream), ProxyCommand::Banner(None)];
        if let Some(previous) = previous.filter(|previous| *previous != generation) {
            commands.push(ProxyCommand::ReleaseStreams(previous));
        }
        commands
    }

    fn stopped(&mut self, generation: GenerationId) -> Vec<ProxyCommand> {
        self.starting.take_if(|starting| *starting == generation);
        if self.serving.take_if(|serving| *serving == generation).is_none() {
            return Vec::new();
        }
        vec![ProxyCommand::Publish(Upstream::Starting)]
    }

    /// `subject` is what has ended, in front of the verb; empty for the command itself.
    fn ended(&mut self, generation: GenerationId, report: &ExitReport, subject: &str) -> Vec<ProxyCommand> {
        self.starting.take_if(|starting| *starting == generation);
        self.serving.take_if(|serving| *serving == generation);
        let report = Arc::new(self.failure_report(generation, report, subject));
        match (self.serving, self.starting) {
            (Some(_), _) => vec![ProxyCommand::Banner(Some(report))],
            (None, Some(_)) => vec![ProxyCommand::Publish(Upstream::Starting)],
            (None, None) => {
                self.fallback_runs = true;
                let down = Upstream::Down(Arc::clone(&report));
                vec![ProxyCommand::Publish(down), ProxyCommand::StartFallback(report)]
            }
        }
    }

    fn halt_report(&self) -> Arc<FailureReport> {
        let hint = self.start_hint.iter().map(|hint| format!("; {hint}"));
        let headline = std::iter::once("stopped on request".to_owned()).chain(hint).collect();
        let (generation, command) = (self.newest, self.command_line.clone());
        Arc::new(FailureReport { generation, headline, command, ..FailureReport::default() })
    }

    fn failure_report(&self, generation: GenerationId, report: &ExitReport, subject: &str) -> FailureReport {
        let headline = match (&report.message, &report.remedy) {
            // Other remedies name options of the library, which the reader of the page may not know.
            (Some(message), Remedy::Text(remedy)) => format!("{message}; {remedy}"),
            (Some(message), _) => message.clone(),
            (None, _) => format!("{subject}{} after {:.2} s", report.ended, report.ran.as_secs_f64()),
        };
        let changes = self.cause.as_ref().map(|batch| batch.changes.as_slice()).unwrap_or_default();
        let relative =
            |path: &Path| path.strip_prefix(&self.base).unwrap_or(path).to_string_lossy().into_owned();
        FailureReport {
            generation,
            headline,
            command: self.command_line.clone(),
            changed: changes.iter().map(|change| relative(&change.path)).collect(),
            output: report.output.clone(),
            ran: report.ran,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::supervise::ProcessExit;

    const STARTING: Phase = Phase::Starting { pid: 1 };

    fn publish_starting() -> ProxyCommand {
        ProxyCommand::Publish(Upstream::Starting)
    }

    fn ready(port: u16) -> Phase {
        Phase::Ready { address: Some(([127, 0, 0, 1], port).into()) }
    }

    fn report(status: i32) -> ExitReport {
        ExitReport {
            ended: ProcessExit::Status(status),
            ran: Duration::from_millis(310),
            message: None,
            remedy: Remedy::None,
            output: b"last words".to_vec(),
        }
    }

    /// Returns a function from the number of a generation and its new phase to the commands that follow. The first
    /// generation serves already.
    fn routing() -> impl FnMut(u64, Phase) -> Vec<ProxyCommand> {
        let mut routing = serving_routing();
        move |number, phase| routing.phase(GenerationId::new(number), &phase)
    }

    fn serving_routing() -> Routing {
        let hint = "`run start` starts it".to_owned();
        let mut routing = Routing::new("/project".into(), "python app.py".to_owned(), Some(hint));
        assert_eq!(routing.phase(GenerationId::FIRST, &STARTING), [publish_starting()]);
        routing.phase(GenerationId::FIRST, &ready(1000));
        routing
    }

    #[test]
    fn an_overlapping_successor_takes_over_when_it_is_ready() {
        let mut phase = routing();
        assert_eq!(phase(2, STARTING), []);
        let (generation, address) = (GenerationId::new(2), ([127, 0, 0, 1], 2000).into());
        let new = ProxyCommand::Publish(Upstream::Ready { generation, address });
        let release = ProxyCommand::ReleaseStreams(GenerationId::FIRST);
        assert_eq!(phase(2, ready(2000)), [new, ProxyCommand::Banner(None), release]);
        // The old one no longer serves: its drain and its end close nothing.
        assert_eq!(phase(1, Phase::Draining), []);
        assert_eq!(phase(1, Phase::Stopped), []);
    }

    #[test]
    fn generations_that_take_turns_hold_requests_between_them() {
        let mut phase = routing();
        assert_eq!(phase(1, Phase::Draining), [ProxyCommand::Drain]);
        let release = ProxyCommand::ReleaseStreams(GenerationId::FIRST);
        assert_eq!(phase(1, Phase::Stopping), [ProxyCommand::Hold, release]);
        assert_eq!(phase(1, Phase::Stopped), [publish_starting()]);
    }

    #[test]
    fn a_failed_successor_puts_a_banner_over_the_one_that_serves_on() {
        let mut phase = routing();
        phase(2, STARTING);
        let commands = phase(2, Phase::Failed(report(1)));
        let [ProxyCommand::Banner(Some(banner))] = commands.as_slice() else { panic!("{commands:?}") };
        assert_eq!(banner.headline, "exited with status 1 after 0.31 s");
        assert_eq!(banner.output, b"last words");
    }

    #[test]
    fn a_crash_with_no_successor_is_shown_until_the_next_start() {
        let mut phase = routing();
        let commands = phase(1, Phase::Exited(report(3)));
        let [ProxyCommand::Publish(Upstream::Down(_)), ProxyCommand::StartFallback(_)] = commands.as_slice()
        else {
            panic!("{commands:?}")
        };
        assert_eq!(phase(2, STARTING), [ProxyCommand::StopFallback, publish_starting()]);
    }

    #[test]
    fn a_halted_command_is_down_at_once_and_requests_wait_again_from_its_start_on() {
        let (mut routing, first) = (serving_routing(), GenerationId::FIRST);
        let report = FailureReport {
            headline: "stopped on request; `run start` starts it".to_owned(),
            command: "python app.py".to_owned(),
            ..FailureReport::default()
        };
        let report = Arc::new(report);
        let down = ProxyCommand::Publish(Upstream::Down(Arc::clone(&report)));
        assert_eq!(routing.commands(&Event::Halting), [down]);
        assert_eq!(routing.phase(first, &Phase::Draining), []);
        assert_eq!(routing.phase(first, &Phase::Stopping), [ProxyCommand::ReleaseStreams(first)]);
        assert_eq!(routing.phase(first, &Phase::Stopped), []);
        assert_eq!(routing.commands(&Event::Halted), [ProxyCommand::StartFallback(report)]);
        let (second, because) = (first.next(), None);
        assert_eq!(
            routing.commands(&Event::Restarting { generation: second, because }),
            [publish_starting()]
        );
        assert_eq!(routing.phase(second, &STARTING), [ProxyCommand::StopFallback, publish_starting()]);
    }

    #[test]
    fn a_crash_while_the_successor_starts_only_holds() {
        let mut phase = routing();
        phase(2, Phase::Building);
        assert_eq!(phase(1, Phase::Exited(report(3))), [publish_starting()]);
    }
}
