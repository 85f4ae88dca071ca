//! A session's events as JSON objects, with the keys of docs/reference/events.md.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::json_names::{Name, NameList};
use super::session::Event;
use crate::change::Change;
use crate::rules::Defect;
use crate::supervise::{ExitReport, Outcome, Phase, ProcessExit, ReloadEffect};
use crate::watch::RootReport;
use crate::{Remedy, supervise, watch};

/// An event as a JSON object. Made by [`Event::json`].
///
/// `event` is the event's name. Durations are whole microseconds, in keys that end in `_us`. A path is text with U+FFFD for
/// each byte that is not UTF-8; only then a second key with the suffix `_b64` has the exact bytes in base64 (RFC 4648).
#[derive(Debug, Clone, Copy)]
pub struct EventJson<'a> {
    event: &'a Event,
    base: Option<&'a Path>,
    word: fn(&Remedy) -> String,
}

impl<'a> EventJson<'a> {
    pub(super) fn new(event: &'a Event) -> Self {
        Self { event, base: None, word: Remedy::to_string }
    }

    /// Paths below this directory are relative to it.
    #[must_use]
    pub fn relative_to(mut self, base: &'a Path) -> Self {
        self.base = Some(base);
        self
    }

    /// This function words remedies, instead of [`Remedy`]'s `Display`.
    #[must_use]
    pub fn with_remedies(mut self, word: fn(&Remedy) -> String) -> Self {
        self.word = word;
        self
    }
}

impl Serialize for EventJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.keys().serialize(serializer)
    }
}

/// The keys of each event.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Keys<'a> {
    Watching {
        files: usize,
        directories: usize,
        watches: usize,
        roots: Vec<RootKeys<'a>>,
    },
    Changed {
        changes: Vec<ChangeKeys<'a>>,
    },
    RulesReloaded {
        #[serde(flatten)]
        files: NameList<'a>,
        defects: Vec<DefectKeys<'a>>,
        watched_files: usize,
        watched_directories: usize,
    },
    ModeChanged {
        root: RootKeys<'a>,
    },
    WaitingForGit {
        #[serde(flatten)]
        marker: Name<'a>,
    },
    Rescanned {
        files: usize,
        took_us: u64,
    },
    Restarting {
        generation: u64,
        #[serde(flatten)]
        because: NameList<'a>,
    },
    Building(GenerationKeys),
    BuildFailed {
        generation: u64,
        end: EndKeys,
    },
    Started {
        generation: u64,
        pid: u32,
    },
    Ready {
        generation: u64,
        address: Option<SocketAddr>,
    },
    Draining(GenerationKeys),
    Stopping(GenerationKeys),
    Stopped(GenerationKeys),
    Crashed {
        generation: u64,
        end: EndKeys,
        was_ready: bool,
    },
    Blocked {
        pid: u32,
        command: &'a str,
        waited_us: u64,
    },
    Waiting {
        backoff_us: Option<u64>,
    },
    Loop {
        #[serde(flatten)]
        path: Name<'a>,
        directory: bool,
        times: u32,
    },
    ReloaderInside {
        name: &'static str,
        effect: &'static str,
        remedy: &'static str,
    },
    ListensElsewhere {
        generation: u64,
        address: String,
    },
    TakesTurns {
        generation: u64,
        holder: u64,
        address: Option<SocketAddr>,
        words: &'a str,
    },
    Suspended,
    Paused,
    Resumed,
    Halting,
    Halted,
    Synced {
        id: u64,
    },
    Settled {
        id: u64,
        outcome: &'static str,
    },
    #[cfg(feature = "proxy")]
    Listening {
        addresses: &'a [SocketAddr],
    },
    #[cfg(feature = "proxy")]
    InFlight {
        generation: u64,
        responses: usize,
        bytes: u64,
        oldest: &'a str,
        since_us: u64,
    },
    #[cfg(feature = "proxy")]
    Drained(GenerationKeys),
    #[cfg(feature = "proxy")]
    Held {
        requests: usize,
    },
    #[cfg(feature = "proxy")]
    Answered {
        status: u16,
        request: &'a str,
        detail: String,
    },
    Warning {
        message: &'a str,
        remedy: String,
    },
    Ended,
}

#[derive(Serialize)]
struct GenerationKeys {
    generation: u64,
}

#[derive(Serialize)]
struct RootKeys<'a> {
    #[serde(flatten)]
    path: Name<'a>,
    mode: &'static str,
    why: String,
    files: usize,
    directories: usize,
}

#[derive(Serialize)]
struct ChangeKeys<'a> {
    #[serde(flatten)]
    path: Name<'a>,
    kind: &'static str,
}

#[derive(Serialize)]
struct DefectKeys<'a> {
    #[serde(flatten)]
    file: Name<'a>,
    line: u32,
    column: u32,
    #[serde(flatten)]
    text: Name<'a>,
    reason: String,
}

#[derive(Serialize)]
struct EndKeys {
    how: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<String>,
    ran_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl<'a> EventJson<'a> {
    fn keys(&self) -> Keys<'a> {
        match self.event {
            Event::Watching(summary) => Keys::Watching {
                files: summary.files,
                directories: summary.directories,
                watches: summary.watches,
                roots: summary.roots.iter().map(|root| self.root(root)).collect(),
            },
            Event::Watch(event) => self.watch_keys(event),
            Event::Child(event) => self.child_keys(event),
            #[cfg(feature = "proxy")]
            Event::Proxy(event) => self.proxy_keys(event),
            Event::Ended(_) => Keys::Ended,
        }
    }

    fn watch_keys(&self, event: &'a watch::Event) -> Keys<'a> {
        match event {
            watch::Event::Changed(batch) => {
                Keys::Changed { changes: batch.changes.iter().map(|change| self.change(change)).collect() }
            }
            watch::Event::RulesReloaded { files, defects, summary } => Keys::RulesReloaded {
                files: NameList("files", files.iter().map(|file| self.name(file)).collect()),
                defects: defects.iter().map(|defect| self.defect(defect)).collect(),
                watched_files: summary.files,
                watched_directories: summary.directories,
            },
            watch::Event::ModeChanged(root) => Keys::ModeChanged { root: self.root(root) },
            watch::Event::WaitingForGit { marker } => {
                Keys::WaitingForGit { marker: Name("marker", Some(self.name(marker))) }
            }
            watch::Event::Rescanned { files, took } => {
                Keys::Rescanned { files: *files, took_us: micros(*took) }
            }
            watch::Event::Synced(id) => Keys::Synced { id: id.number() },
            watch::Event::Warning { message, remedy } => {
                Keys::Warning { message, remedy: (self.word)(remedy) }
            }
        }
    }

    fn child_keys(&self, event: &'a supervise::Event) -> Keys<'a> {
        match event {
            supervise::Event::Phase { generation, phase } => self.phase_keys(generation.number(), phase),
            supervise::Event::Restarting { generation, because } => {
                let changes = because.as_ref().map(|batch| &*batch.changes).unwrap_or_default();
                let paths = changes.iter().map(|change| self.name(&change.path)).collect();
                Keys::Restarting { generation: generation.number(), because: NameList("because", paths) }
            }
            supervise::Event::Blocked { pid, command, waited } => {
                Keys::Blocked { pid: *pid, command, waited_us: micros(*waited) }
            }
            supervise::Event::Waiting { backoff } => Keys::Waiting { backoff_us: backoff.map(micros) },
            supervise::Event::RestartLoop { path, directory, times } => Keys::Loop {
                path: Name("path", Some(self.name(directory.as_ref().unwrap_or(path)))),
                directory: directory.is_some(),
                times: *times,
            },
            supervise::Event::ReloaderInside(reloader) => Keys::ReloaderInside {
                name: reloader.name,
                effect: match reloader.effect {
                    ReloadEffect::Cuts => "cuts",
                    ReloadEffect::Finishes => "finishes",
                    ReloadEffect::AppliesEdits => "applies-edits",
                },
                remedy: reloader.change,
            },
            supervise::Event::ListensElsewhere { generation, endpoint } => {
                Keys::ListensElsewhere { generation: generation.number(), address: endpoint.to_string() }
            }
            supervise::Event::TakesTurns { generation, holder, address, words } => Keys::TakesTurns {
                generation: generation.number(),
                holder: holder.number(),
                address: *address,
                words,
            },
            supervise::Event::Suspended => Keys::Suspended,
            supervise::Event::Paused => Keys::Paused,
            supervise::Event::Resumed => Keys::Resumed,
            supervise::Event::Halting => Keys::Halting,
            supervise::Event::Halted => Keys::Halted,
            supervise::Event::Settled { id, outcome } => {
                Keys::Settled { id: id.number(), outcome: outcome_name(outcome) }
            }
            supervise::Event::Warning { message, remedy } => {
                Keys::Warning { message, remedy: (self.word)(remedy) }
            }
            supervise::Event::Ended(_) => Keys::Ended,
        }
    }

    fn phase_keys(&self, generation: u64, phase: &'a Phase) -> Keys<'a> {
        match phase {
            Phase::Building => Keys::Building(GenerationKeys { generation }),
            Phase::BuildFailed(report) => Keys::BuildFailed { generation, end: self.end(report) },
            Phase::Starting { pid } => Keys::Started { generation, pid: *pid },
            Phase::Ready { address } => Keys::Ready { generation, address: *address },
            Phase::Draining => Keys::Draining(GenerationKeys { generation }),
            Phase::Stopping => Keys::Stopping(GenerationKeys { generation }),
            Phase::Stopped => Keys::Stopped(GenerationKeys { generation }),
            Phase::Exited(report) => Keys::Crashed { generation, end: self.end(report), was_ready: true },
            Phase::Failed(report) => Keys::Crashed { generation, end: self.end(report), was_ready: false },
        }
    }

    #[cfg(feature = "proxy")]
    fn proxy_keys(&self, event: &'a crate::proxy::Event) -> Keys<'a> {
        use crate::proxy;
        match event {
            proxy::Event::Listening { addresses } => Keys::Listening { addresses },
            proxy::Event::InFlight { generation, responses, bytes, oldest, since } => Keys::InFlight {
                generation: generation.number(),
                responses: *responses,
                bytes: *bytes,
                oldest,
                since_us: micros(*since),
            },
            proxy::Event::Drained { generation } => {
                Keys::Drained(GenerationKeys { generation: generation.number() })
            }
            proxy::Event::Held { requests } => Keys::Held { requests: *requests },
            proxy::Event::Answered { status, request, detail, remedy } => {
                Keys::Answered { status: *status, request, detail: self.with_remedy(detail, remedy) }
            }
        }
    }

    fn root(&self, root: &'a RootReport) -> RootKeys<'a> {
        RootKeys {
            path: Name("path", Some(self.name(&root.path))),
            mode: root.mode.as_str(),
            why: root.why.to_string(),
            files: root.files,
            directories: root.directories,
        }
    }

    fn change(&self, change: &'a Change) -> ChangeKeys<'a> {
        ChangeKeys { path: Name("path", Some(self.name(&change.path))), kind: change.kind.as_str() }
    }

    fn defect(&self, defect: &'a Defect) -> DefectKeys<'a> {
        DefectKeys {
            file: Name("file", defect.source.as_ref().map(|file| self.name(file))),
            line: defect.line,
            column: defect.column,
            text: Name("text", Some(&defect.text)),
            reason: defect.kind.to_string(),
        }
    }

    fn end(&self, report: &ExitReport) -> EndKeys {
        let remedy = Some((self.word)(&report.remedy)).filter(|remedy| !remedy.is_empty());
        EndKeys {
            how: report.ended.to_string(),
            status: match report.ended {
                ProcessExit::Status(status)
                | ProcessExit::Interrupted(status)
                | ProcessExit::NotStarted(status) => Some(status),
                ProcessExit::Signal(_) | ProcessExit::NotReady => None,
            },
            signal: match report.ended {
                ProcessExit::Signal(signal) => Some(signal.to_string()),
                _ => None,
            },
            ran_us: micros(report.ran),
            message: report.message.as_ref().map(|message| self.with_remedy(message, &report.remedy)),
            remedy: remedy.filter(|_| report.message.is_none()),
        }
    }

    /// A message and, behind a semicolon, its remedy if it has one.
    fn with_remedy(&self, message: &str, remedy: &Remedy) -> String {
        match (self.word)(remedy) {
            remedy if remedy.is_empty() => message.to_owned(),
            remedy => format!("{message}; {remedy}"),
        }
    }

    /// The bytes of a path, relative to the base if it lies below. The base itself is `.`.
    fn name(&self, path: &'a Path) -> &'a [u8] {
        let below = self.base.and_then(|base| path.strip_prefix(base).ok()).unwrap_or(path);
        let path = if below.as_os_str().is_empty() { Path::new(".") } else { below };
        path.as_os_str().as_encoded_bytes()
    }
}

fn outcome_name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Ready { .. } => "ready",
        Outcome::Failed { .. } => "failed",
        Outcome::Ended { .. } => "ended",
        Outcome::Paused => "paused",
        Outcome::Halted => "halted",
        Outcome::NotStarted => "not-started",
        Outcome::Stopping => "stopping",
    }
}

/// Whole microseconds of a duration.
fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
