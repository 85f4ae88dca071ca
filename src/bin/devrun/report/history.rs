//! Session events in, records out: keeps what latencies and the summary need. Pure: `now` is an argument.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use devrun::change::Batch;
use devrun::rules::{Defect, DefectKind};
use devrun::session::Event;
use devrun::supervise::{Ended, ExitReport, Phase};
use devrun::watch::{RootReport, Stats, Summary, Why};
use devrun::{proxy, supervise, watch};

use crate::ui::byte_string::ByteString;

use super::record::{ChangedPath, DefectRecord, EndRecord, Record, RootRecord};

/// One restart, for the question "why did it restart".
#[derive(Debug, Clone)]
pub(crate) struct Cause {
    pub(crate) generation: u64,
    pub(crate) at: Instant,
    pub(crate) paths: Vec<ByteString>,
}

/// How many causes are kept.
const CAUSES: usize = 10;

/// What has happened so far, as far as latencies and the summary need it.
#[derive(Debug)]
pub(crate) struct History {
    base: PathBuf,
    command: String,
    begun: Instant,
    /// When the change that leads to the next generation was first heard of.
    due_since: Option<Instant>,
    started: HashMap<u64, Instant>,
    serving: Option<u64>,
    down_since: Option<Instant>,
    /// Since when nothing serves because of a crash: up to the end that is time down, too.
    crashed_since: Option<Instant>,
    down: Duration,
    generations: u64,
    batches: u64,
    changes: u64,
    stats: Stats,
    causes: Vec<Cause>,
}

impl History {
    pub(crate) fn new(base: PathBuf, stats: Stats, now: Instant) -> Self {
        Self {
            stats,
            base,
            command: String::new(),
            begun: now,
            due_since: None,
            started: HashMap::new(),
            serving: None,
            down_since: None,
            crashed_since: None,
            down: Duration::ZERO,
            generations: 0,
            batches: 0,
            changes: 0,
            causes: Vec::new(),
        }
    }

    /// What is run from now on.
    pub(crate) fn runs(&mut self, command: String) {
        self.command = command;
    }

    /// The last restarts and why, oldest first.
    pub(crate) fn causes(&self) -> &[Cause] {
        &self.causes
    }

    /// What an event says; `None` where there is nothing to tell.
    pub(crate) fn record(&mut self, event: &Event, now: Instant) -> Option<Record> {
        match event {
            Event::Watching(summary) => Some(self.watching(summary)),
            Event::Watch(event) => Some(self.watch(event)),
            Event::Child(event) => self.child(event, now),
            Event::Proxy(event) => Some(proxy_record(event)),
            Event::Ended(_) => Some(self.summary(now)),
            _ => None,
        }
    }

    fn watching(&self, summary: &Summary) -> Record {
        Record::Watching {
            files: summary.files,
            directories: summary.directories,
            watches: summary.watches,
            roots: summary.roots.iter().map(|root| self.root(root)).collect(),
        }
    }

    fn watch(&mut self, event: &watch::Event) -> Record {
        match event {
            watch::Event::Changed(batch) => self.changed(batch),
            watch::Event::RulesReloaded { files, defects, summary } => Record::RulesReloaded {
                files: files.iter().map(|file| self.shown(file)).collect(),
                defects: defects.iter().map(|defect| self.defect(defect)).collect(),
                watched_files: summary.files,
                watched_directories: summary.directories,
            },
            watch::Event::ModeChanged(root) => Record::ModeChanged { root: self.root(root) },
            watch::Event::WaitingForGit { marker } => Record::WaitingForGit { marker: self.shown(marker) },
            watch::Event::Rescanned { files, took } => {
                Record::Rescanned { files: *files, took_us: micros(*took) }
            }
            watch::Event::Warning { message, remedy } => warning(message, remedy),
            other => warning(&format!("{other:?}"), ""),
        }
    }

    fn changed(&mut self, batch: &Batch) -> Record {
        self.batches += 1;
        self.changes += batch.changes.len() as u64;
        let changes = batch
            .changes
            .iter()
            .map(|change| ChangedPath { path: self.shown(&change.path), kind: change.kind.as_str() });
        Record::Changed { changes: changes.collect() }
    }

    fn child(&mut self, event: &supervise::Event, now: Instant) -> Option<Record> {
        Some(match event {
            supervise::Event::Phase { generation, phase } => return self.phase(*generation, phase, now),
            supervise::Event::Restarting { generation, because } => {
                self.restarting(*generation, because.as_deref(), now)
            }
            supervise::Event::Blocked { pid, command, waited } => {
                Record::Blocked { pid: *pid, command: command.clone(), waited_us: micros(*waited) }
            }
            supervise::Event::Waiting { backoff } => Record::Waiting { backoff_us: backoff.map(micros) },
            supervise::Event::Loop { path, directory, times } => {
                self.restart_loop(path, directory.as_deref(), *times)
            }
            supervise::Event::ReloaderInside { name, remedy } => {
                Record::ReloaderInside { name: name.clone(), remedy: remedy.clone() }
            }
            supervise::Event::ListensElsewhere { generation, address } => {
                Record::ListensElsewhere { generation: *generation, address: address.to_string() }
            }
            supervise::Event::Warning { message, remedy } => warning(message, remedy),
            _ => return None,
        })
    }

    fn restart_loop(&self, path: &Path, directory: Option<&Path>, times: u32) -> Record {
        let (path, rule) = match directory {
            None => (self.shown(path), self.shown(path).ignore_rule()),
            // No rule can name the directory of the rule file itself.
            Some(directory) if directory == self.base => {
                let extension = path.extension().and_then(|extension| extension.to_str());
                let rule = extension.map(|extension| format!("/*.{extension}"));
                (self.shown(directory), rule.unwrap_or_else(|| self.shown(path).ignore_rule()))
            }
            Some(directory) => (self.shown(directory), self.shown(directory).ignore_rule() + "/"),
        };
        Record::Loop { path, directory: directory.is_some(), times, rule }
    }

    fn restarting(&mut self, generation: u64, because: Option<&Batch>, now: Instant) -> Record {
        self.due_since = Some(because.map_or(now, |batch| batch.first));
        let changes = because.map(|batch| batch.changes.as_slice()).unwrap_or_default();
        let paths: Vec<ByteString> = changes.iter().map(|change| self.shown(&change.path)).collect();
        if self.causes.len() == CAUSES {
            self.causes.remove(0);
        }
        self.causes.push(Cause { generation, at: now, paths: paths.clone() });
        Record::Restarting { generation, because: paths }
    }

    fn phase(&mut self, generation: u64, phase: &Phase, now: Instant) -> Option<Record> {
        Some(match phase {
            Phase::Building => Record::Building { generation },
            Phase::BuildFailed(report) => {
                Record::BuildFailed { generation, end: end(report), serving: self.serving }
            }
            Phase::Starting { pid } => self.starting(generation, *pid, now),
            Phase::Ready { address } => self.ready(generation, *address, now),
            Phase::Draining => Record::Draining { generation },
            Phase::Stopping => {
                self.gone(generation, now);
                Record::Stopping { generation }
            }
            Phase::Stopped => {
                self.gone(generation, now);
                Record::Stopped { generation, changed_to_stop_us: self.since_due(now) }
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
            changed_to_start_us: self.since_due(now),
        }
    }

    fn ready(&mut self, generation: u64, address: Option<std::net::SocketAddr>, now: Instant) -> Record {
        let start = self.started.remove(&generation).unwrap_or(now);
        let changed_to_ready_us = self.since_due(now);
        self.due_since = None;
        self.serving = Some(generation);
        self.crashed_since = None;
        if let Some(since) = self.down_since.take() {
            self.down += now.saturating_duration_since(since);
        }
        Record::Ready {
            generation,
            address: address.map(|address| address.to_string()),
            start_to_ready_us: micros(now.saturating_duration_since(start)),
            changed_to_ready_us,
        }
    }

    fn crashed(&mut self, generation: u64, report: &ExitReport, was_ready: bool, now: Instant) -> Record {
        self.gone(generation, now);
        if self.serving.is_none() {
            self.crashed_since = self.down_since;
        }
        Record::Crashed { generation, end: end(report), serving: self.serving, was_ready }
    }

    /// From here to the next ready generation nothing serves.
    fn gone(&mut self, generation: u64, now: Instant) {
        self.started.remove(&generation);
        if self.serving == Some(generation) {
            self.serving = None;
            self.down_since = Some(now);
        }
    }

    fn since_due(&self, now: Instant) -> Option<u64> {
        self.due_since.map(|since| micros(now.saturating_duration_since(since)))
    }

    fn summary(&self, now: Instant) -> Record {
        Record::Summary {
            generations: self.generations,
            restarts: self.generations.saturating_sub(1),
            batches: self.batches,
            changes: self.changes,
            ignored: self.stats.events_ignored(),
            ran_us: micros(now.saturating_duration_since(self.begun)),
            down_us: micros(
                self.down
                    + self.crashed_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since)),
            ),
        }
    }

    fn root(&self, root: &RootReport) -> RootRecord {
        RootRecord {
            path: self.shown(&root.path),
            mode: root.mode.as_str(),
            why: why(&root.why),
            files: root.files,
            directories: root.directories,
        }
    }

    fn defect(&self, defect: &Defect) -> DefectRecord {
        DefectRecord {
            file: defect.source.as_deref().map(|file| self.shown(file)),
            line: defect.line,
            column: defect.column,
            text: ByteString::new(defect.text.clone()),
            reason: match &defect.kind {
                DefectKind::NeverMatches(flaw) => format!("this can never match: {}", flaw.as_str()),
                DefectKind::Unreadable(reason) => format!("cannot be read: {reason}"),
                other => format!("{other:?}"),
            },
        }
    }

    /// A path, relative to the working directory where it lies below it.
    fn shown(&self, path: &Path) -> ByteString {
        ByteString::from_relative_path(path, &self.base)
    }
}

fn proxy_record(event: &proxy::Event) -> Record {
    match event {
        proxy::Event::Listening { addresses } => {
            Record::Listening { addresses: addresses.iter().map(ToString::to_string).collect() }
        }
        proxy::Event::InFlight { generation, responses, bytes, oldest, since } => Record::InFlight {
            generation: *generation,
            responses: *responses,
            bytes: *bytes,
            oldest: oldest.clone(),
            since_us: micros(*since),
        },
        proxy::Event::Drained { generation } => Record::Drained { generation: *generation },
        proxy::Event::Held { requests } => Record::Held { requests: *requests },
        proxy::Event::Answered { status, request, detail } => {
            Record::Answered { status: *status, request: request.clone(), detail: detail.clone() }
        }
        other => warning(&format!("{other:?}"), ""),
    }
}

fn warning(message: &str, remedy: &str) -> Record {
    Record::Warning { message: message.to_owned(), remedy: remedy.to_owned() }
}

fn end(report: &ExitReport) -> EndRecord {
    let (status, signal) = match report.ended {
        Ended::Status(status) | Ended::NotStarted(status) => (Some(status), None),
        Ended::Signal(signal) => (None, Some(signal.to_string())),
        _ => (None, None),
    };
    EndRecord {
        how: report.ended.to_string(),
        status,
        signal,
        ran_us: micros(report.ran),
        message: report.message.clone(),
    }
}

fn why(why: &Why) -> String {
    match why {
        Why::Asked => "asked".to_owned(),
        Why::Local => "local".to_owned(),
        Why::NoEvents(system) => format!("no-events: {system}"),
        Why::Limit(limit) => format!("limit: {limit}"),
        Why::Unreadable => "unreadable".to_owned(),
        Why::Missing => "missing".to_owned(),
        other => format!("{other:?}"),
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
