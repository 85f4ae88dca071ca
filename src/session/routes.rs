//! Pure: what a phase of the child means for the proxy. Knows no channel and no socket.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::change::Batch;
use crate::proxy::{FailureReport, Upstream};
use crate::supervise::{ExitReport, Phase};

/// What the proxy is to be told, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// What serves new requests.
    Publish(Upstream),
    /// The gate closes; the serving generation drains.
    Hold,
    /// The banner over pages of a generation that serves on.
    Banner(Option<Arc<FailureReport>>),
    /// Streams of this generation end, so that they come back to new code.
    ReleaseStreams(u64),
    /// No generation lives: devrun answers on the shared sockets itself.
    Answer(Arc<FailureReport>),
    /// A generation is about to live: devrun stops answering there.
    AnswerNoMore,
}

/// Follows the generations, as far as the proxy is concerned.
#[derive(Debug)]
pub(super) struct Routes {
    base: PathBuf,
    command: String,
    because: Option<Arc<Batch>>,
    /// Gets new requests.
    serving: Option<u64>,
    /// Is being built or started, and may serve soon.
    coming: Option<u64>,
    /// A crash is being shown, or answered on the shared sockets.
    down: bool,
}

impl Routes {
    /// `base` is what changed paths are shown relative to, `command` what the page shows as the command.
    pub(super) fn new(base: PathBuf, command: String) -> Self {
        Self { base, command, because: None, serving: None, coming: None, down: false }
    }

    /// A restart is due because of these changes: a report will name them.
    pub(super) fn restarting(&mut self, because: Option<Arc<Batch>>) {
        self.because = because;
    }

    /// What a phase means for the proxy.
    pub(super) fn phase(&mut self, generation: u64, phase: &Phase) -> Vec<Route> {
        match phase {
            Phase::Building | Phase::Starting { .. } => self.coming(generation),
            Phase::Ready { address } => self.ready(generation, *address),
            Phase::Draining => match self.serving {
                Some(serving) if serving == generation => vec![Route::Hold],
                _ => Vec::new(),
            },
            Phase::Stopping => vec![Route::ReleaseStreams(generation)],
            Phase::Stopped => self.gone(generation),
            Phase::Exited(report) => self.ended(generation, report, "exited"),
            Phase::Failed(report) => self.ended(generation, report, "failed"),
            Phase::BuildFailed(report) => self.ended(generation, report, "build"),
        }
    }

    fn coming(&mut self, generation: u64) -> Vec<Route> {
        self.coming = Some(generation);
        let mut routes = Vec::new();
        if std::mem::take(&mut self.down) {
            routes.push(Route::AnswerNoMore);
        }
        if self.serving.is_none() {
            routes.push(Route::Publish(Upstream::Starting));
        }
        routes
    }

    fn ready(&mut self, generation: u64, address: Option<std::net::SocketAddr>) -> Vec<Route> {
        if self.coming == Some(generation) {
            self.coming = None;
        }
        let before = self.serving.replace(generation);
        let Some(address) = address else { return Vec::new() };
        let mut routes = vec![Route::Publish(Upstream::Ready { generation, address }), Route::Banner(None)];
        routes.extend(before.filter(|before| *before != generation).map(Route::ReleaseStreams));
        routes
    }

    fn gone(&mut self, generation: u64) -> Vec<Route> {
        if self.coming == Some(generation) {
            self.coming = None;
        }
        if self.serving != Some(generation) {
            return Vec::new();
        }
        self.serving = None;
        vec![Route::Publish(Upstream::Starting)]
    }

    fn ended(&mut self, generation: u64, report: &ExitReport, how: &str) -> Vec<Route> {
        if self.coming == Some(generation) {
            self.coming = None;
        }
        if self.serving == Some(generation) {
            self.serving = None;
        }
        let report = Arc::new(self.report(generation, report, how));
        match (self.serving, self.coming) {
            (Some(_), _) => vec![Route::Banner(Some(report))],
            (None, Some(_)) => vec![Route::Publish(Upstream::Starting)],
            (None, None) => {
                self.down = true;
                vec![Route::Publish(Upstream::Down(Arc::clone(&report))), Route::Answer(report)]
            }
        }
    }

    fn report(&self, generation: u64, report: &ExitReport, how: &str) -> FailureReport {
        let subject = if how == "build" { "the build " } else { "" };
        let headline = match &report.message {
            Some(message) => message.clone(),
            None => format!("{subject}{} after {:.2} s", report.ended, report.ran.as_secs_f64()),
        };
        let changes = self.because.as_ref().map(|batch| batch.changes.as_slice()).unwrap_or_default();
        FailureReport {
            generation,
            headline,
            command: self.command.clone(),
            changed: changes.iter().map(|change| shown(&change.path, &self.base)).collect(),
            output: report.output.clone(),
            ran: report.ran,
        }
    }
}

/// A path as the page shows it: relative to the working directory where it lies below it.
fn shown(path: &Path, base: &Path) -> String {
    path.strip_prefix(base).unwrap_or(path).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use super::*;
    use crate::supervise::ProcessExit;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn ready(port: u16) -> Phase {
        Phase::Ready { address: Some(address(port)) }
    }

    fn report(status: i32) -> ExitReport {
        let ran = Duration::from_millis(310);
        ExitReport { ended: ProcessExit::Status(status), ran, message: None, output: b"last words".to_vec() }
    }

    fn routes() -> Routes {
        Routes::new("/project".into(), "python app.py".to_owned())
    }

    #[test]
    fn an_overlapping_successor_takes_over_when_it_is_ready() {
        let mut routes = routes();
        assert_eq!(routes.phase(1, &Phase::Starting { pid: 1 }), [Route::Publish(Upstream::Starting)]);
        routes.phase(1, &ready(1000));
        assert_eq!(routes.phase(2, &Phase::Starting { pid: 2 }), []);
        let orders = routes.phase(2, &ready(2000));
        let new = Upstream::Ready { generation: 2, address: address(2000) };
        assert_eq!(orders, [Route::Publish(new), Route::Banner(None), Route::ReleaseStreams(1)]);
        // The old one no longer serves: its drain and its end close nothing.
        assert_eq!(routes.phase(1, &Phase::Draining), []);
        assert_eq!(routes.phase(1, &Phase::Stopped), []);
    }

    #[test]
    fn generations_that_take_turns_hold_requests_between_them() {
        let mut routes = routes();
        routes.phase(1, &Phase::Starting { pid: 1 });
        routes.phase(1, &ready(1000));
        assert_eq!(routes.phase(1, &Phase::Draining), [Route::Hold]);
        assert_eq!(routes.phase(1, &Phase::Stopping), [Route::ReleaseStreams(1)]);
        assert_eq!(routes.phase(1, &Phase::Stopped), [Route::Publish(Upstream::Starting)]);
    }

    #[test]
    fn a_failed_successor_puts_a_banner_over_the_one_that_serves_on() {
        let mut routes = routes();
        routes.phase(1, &Phase::Starting { pid: 1 });
        routes.phase(1, &ready(1000));
        routes.phase(2, &Phase::Starting { pid: 2 });
        let orders = routes.phase(2, &Phase::Failed(report(1)));
        let [Route::Banner(Some(banner))] = orders.as_slice() else { panic!("{orders:?}") };
        assert_eq!(banner.headline, "exited with status 1 after 0.31 s");
        assert_eq!(banner.output, b"last words");
    }

    #[test]
    fn a_crash_with_no_successor_is_shown_until_the_next_start() {
        let mut routes = routes();
        routes.phase(1, &Phase::Starting { pid: 1 });
        routes.phase(1, &ready(1000));
        let orders = routes.phase(1, &Phase::Exited(report(3)));
        assert!(
            matches!(orders.as_slice(), [Route::Publish(Upstream::Down(_)), Route::Answer(_)]),
            "{orders:?}"
        );
        let orders = routes.phase(2, &Phase::Starting { pid: 2 });
        assert_eq!(orders, [Route::AnswerNoMore, Route::Publish(Upstream::Starting)]);
    }

    #[test]
    fn a_crash_while_the_successor_starts_only_holds() {
        let mut routes = routes();
        routes.phase(1, &Phase::Starting { pid: 1 });
        routes.phase(1, &ready(1000));
        routes.phase(2, &Phase::Building);
        assert_eq!(routes.phase(1, &Phase::Exited(report(3))), [Route::Publish(Upstream::Starting)]);
    }
}
