//! Turns the events of a session into records, with latencies and the totals of the summary. Pure: `now` is
//! an argument.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use devrun::change::Batch;
use devrun::session::Event;
use devrun::supervise::{ExitReport, Phase};
use devrun::watch::Stats;
use devrun::{proxy, supervise, watch};

use super::record::{
    ChangedPath, DefectRecord, EndRecord, Milestone, Ready, Record, RestartLoop, Restarting, RootRecord,
    RulesReloaded, Summary, WaitingForGit, micros,
};
use crate::ui::{ByteString, worded};

/// What happened so far in a run.
#[derive(Debug)]
pub(super) struct History {
    /// Paths are shown relative to this directory.
    base: PathBuf,
    /// The command line of COMMAND.
    command: String,
    milestone: Milestone,
    begun: Instant,
    /// Time of the change or key that causes the next generation.
    cause_at: Option<Instant>,
    /// Start time of each generation that is not ready yet.
    started: HashMap<u64, Instant>,
    downtime: Downtime,
    generations: u64,
    batches: u64,
    changes: u64,
    stats: Stats,
}

impl History {
    pub(super) fn new(base: PathBuf, milestone: Milestone, stats: Stats, now: Instant) -> Self {
        Self {
            base,
            command: String::new(),
            milestone,
            begun: now,
            cause_at: None,
            started: HashMap::new(),
            downtime: Downtime::default(),
            generations: 0,
            batches: 0,
            changes: 0,
            stats,
        }
    }

    /// Sets the command line that the next generations run.
    pub(super) fn set_command(&mut self, command: String) {
        self.command = command;
    }

    /// The record of an event. `None` if the event is not reported.
    pub(super) fn record(&mut self, event: &Event, now: Instant) -> Option<Record> {
        match event {
            Event::Watching(summary) => Some(Record::Watching {
                files: summary.files,
                directories: summary.directories,
                watches: summary.watches,
                roots: summary.roots.iter().map(|root| RootRecord::new(root, &self.base)).collect(),
            }),
            Event::Watch(event) => Some(self.watch_event(event)),
            Event::Child(event) => self.child_event(event, now),
            Event::Proxy(event) => Some(proxy_event(event)),
            Event::Ended(_) => Some(self.summary(now)),
            _ => None,
        }
    }

    fn watch_event(&mut self, event: &watch::Event) -> Record {
        match event {
            watch::Event::Changed(batch) => self.changed(batch),
            watch::Event::RulesReloaded { files, defects, summary } => Record::RulesReloaded(RulesReloaded {
                files: files.iter().map(|file| self.relative(file)).collect(),
                defects: defects.iter().map(|defect| DefectRecord::new(defect, &self.base)).collect(),
                watched_files: summary.files,
                watched_directories: summary.directories,
            }),
            watch::Event::ModeChanged(root) => {
                Record::ModeChanged { root: RootRecord::new(root, &self.base) }
            }
            watch::Event::WaitingForGit { marker } => {
                Record::WaitingForGit(WaitingForGit { marker: self.relative(marker) })
            }
            watch::Event::Rescanned { files, took } => {
                Record::Rescanned { files: *files, took_us: micros(*took) }
            }
            watch::Event::Warning { message, remedy } => warning(message, &worded(remedy)),
            other => warning(&format!("{other:?}"), ""),
        }
    }

    fn changed(&mut self, batch: &Batch) -> Record {
        self.batches += 1;
        self.changes += batch.changes.len() as u64;
        let changes = batch.changes.iter().map(|change| ChangedPath::new(change, &self.base));
        Record::Changed { changes: changes.collect() }
    }

    fn child_event(&mut self, event: &supervise::Event, now: Instant) -> Option<Record> {
        Some(match event {
            supervise::Event::Phase { generation, phase } => {
                return self.phase(generation.number(), phase, now);
            }
            supervise::Event::Restarting { generation, because } => {
                self.restarting(generation.number(), because.as_deref(), now)
            }
            supervise::Event::Blocked { pid, command, waited } => {
                Record::Blocked { pid: *pid, command: command.clone(), waited_us: micros(*waited) }
            }
            supervise::Event::Waiting { backoff } => Record::Waiting { backoff_us: backoff.map(micros) },
            supervise::Event::RestartLoop { path, directory, times } => {
                self.restart_loop(path, directory.as_deref(), *times)
            }
            supervise::Event::ReloaderInside { name, remedy } => {
                Record::ReloaderInside { name: name.clone(), remedy: worded(remedy) }
            }
            supervise::Event::ListensElsewhere { generation, address } => {
                Record::ListensElsewhere { generation: generation.number(), address: address.to_string() }
            }
            supervise::Event::Warning { message, remedy } => warning(message, &worded(remedy)),
            _ => return None,
        })
    }

    fn restart_loop(&self, path: &Path, directory: Option<&Path>, times: u32) -> Record {
        let file = self.relative(path);
        let Some(directory) = directory else {
            return Record::Loop(RestartLoop {
                rule: file.ignore_rule(),
                path: file,
                directory: false,
                times,
            });
        };
        let rule = if directory == self.base {
            // No rule can name the directory of the rule file itself.
            let extension = path.extension().and_then(|extension| extension.to_str());
            extension.map_or_else(|| file.ignore_rule(), |extension| format!("/*.{extension}"))
        } else {
            self.relative(directory).ignore_rule() + "/"
        };
        Record::Loop(RestartLoop { rule, path: self.relative(directory), directory: true, times })
    }

    fn restarting(&mut self, generation: u64, because: Option<&Batch>, now: Instant) -> Record {
        self.cause_at = Some(because.map_or(now, |batch| batch.first_event_at));
        let changes = because.map(|batch| batch.changes.as_slice()).unwrap_or_default();
        let paths = changes.iter().map(|change| self.relative(&change.path)).collect();
        Record::Restarting(Restarting { generation, because: paths })
    }

    fn phase(&mut self, generation: u64, phase: &Phase, now: Instant) -> Option<Record> {
        Some(match phase {
            Phase::Building => Record::Building { generation },
            Phase::BuildFailed(report) => Record::BuildFailed {
                generation,
                end: EndRecord::new(report),
                serving: self.downtime.serving(),
            },
            Phase::Starting { pid } => self.starting(generation, *pid, now),
            Phase::Ready { address } => self.ready(generation, *address, now),
            Phase::Draining => Record::Draining { generation },
            Phase::Stopping => {
                self.stopped(generation, now);
                Record::Stopping { generation }
            }
            Phase::Stopped => {
                self.stopped(generation, now);
                Record::Stopped { generation, changed_to_stop_us: self.since_cause(now) }
            }
            Phase::Exited(report) => self.crashed(generation, report, true, now),
            Phase::Failed(report) => self.crashed(generation, report, false, now),
            _ => return None,
        })
    }

    fn starting(&mut self, generation: u64, pid: u32, now: Instant) -> Record {
        self.generations += 1;
        self.started.insert(generation, now);
        Record::Started {
            generation,
            pid,
            command: self.command.clone(),
            changed_to_start_us: self.since_cause(now),
        }
    }

    fn ready(&mut self, generation: u64, address: Option<SocketAddr>, now: Instant) -> Record {
        let start = self.started.remove(&generation).unwrap_or(now);
        let changed_to_ready_us = self.since_cause(now);
        self.cause_at = None;
        self.downtime.ready(generation, now);
        Record::Ready(Ready {
            generation,
            address: address.map(|address| address.to_string()),
            start_to_ready_us: micros(now.saturating_duration_since(start)),
            changed_to_ready_us,
            milestone: self.milestone,
        })
    }

    fn stopped(&mut self, generation: u64, now: Instant) {
        self.started.remove(&generation);
        self.downtime.stopped(generation, now);
    }

    fn crashed(&mut self, generation: u64, report: &ExitReport, was_ready: bool, now: Instant) -> Record {
        self.started.remove(&generation);
        self.downtime.crashed(generation, now);
        Record::Crashed {
            generation,
            end: EndRecord::new(report),
            serving: self.downtime.serving(),
            was_ready,
        }
    }

    fn since_cause(&self, now: Instant) -> Option<u64> {
        self.cause_at.map(|since| micros(now.saturating_duration_since(since)))
    }

    fn summary(&self, now: Instant) -> Record {
        Record::Summary(Summary {
            generations: self.generations,
            restarts: self.generations.saturating_sub(1),
            batches: self.batches,
            changes: self.changes,
            ignored: self.stats.events_ignored(),
            ran_us: micros(now.saturating_duration_since(self.begun)),
            down_us: micros(self.downtime.total(now)),
        })
    }

    fn relative(&self, path: &Path) -> ByteString {
        ByteString::from_relative_path(path, &self.base)
    }
}

fn proxy_event(event: &proxy::Event) -> Record {
    match event {
        proxy::Event::Listening { addresses } => {
            Record::Listening { addresses: addresses.iter().map(ToString::to_string).collect() }
        }
        proxy::Event::InFlight { generation, responses, bytes, oldest, since } => Record::InFlight {
            generation: generation.number(),
            responses: *responses,
            bytes: *bytes,
            oldest: oldest.clone(),
            since_us: micros(*since),
        },
        proxy::Event::Drained { generation } => Record::Drained { generation: generation.number() },
        proxy::Event::Held { requests } => Record::Held { requests: *requests },
        proxy::Event::Answered { status, request, detail, remedy } => {
            let mut detail = detail.clone();
            if *remedy != devrun::Remedy::None {
                detail = format!("{detail}: {}", worded(remedy));
            }
            Record::Answered { status: *status, request: request.clone(), detail }
        }
        other => warning(&format!("{other:?}"), ""),
    }
}

fn warning(message: &str, remedy: &str) -> Record {
    Record::Warning { message: message.to_owned(), remedy: remedy.to_owned() }
}

/// The generation that serves, and the time without one.
#[derive(Debug, Default)]
struct Downtime {
    serving: Option<u64>,
    /// When the last serving generation stopped or crashed.
    down_since: Option<Instant>,
    /// When it crashed. A crash counts up to the end of the run, a stop only up to the next ready generation.
    crashed_since: Option<Instant>,
    /// All completed times without a serving generation.
    total: Duration,
}

impl Downtime {
    /// The generation that serves.
    fn serving(&self) -> Option<u64> {
        self.serving
    }

    /// A generation is ready.
    fn ready(&mut self, generation: u64, now: Instant) {
        self.serving = Some(generation);
        self.crashed_since = None;
        if let Some(since) = self.down_since.take() {
            self.total += now.saturating_duration_since(since);
        }
    }

    /// A generation stops serving, if it served.
    fn stopped(&mut self, generation: u64, now: Instant) {
        if self.serving == Some(generation) {
            self.serving = None;
            self.down_since = Some(now);
        }
    }

    /// A generation crashed, whether it served or not.
    fn crashed(&mut self, generation: u64, now: Instant) {
        self.stopped(generation, now);
        if self.serving.is_none() {
            self.crashed_since = self.down_since;
        }
    }

    /// The time without a serving generation up to now.
    fn total(&self, now: Instant) -> Duration {
        let crashed = self.crashed_since.map(|since| now.saturating_duration_since(since));
        self.total + crashed.unwrap_or_default()
    }
}
