//! The events of a run as plain data, in the shape of `--log-format json` (docs/reference/events.md).
//!
//! Paths are relative to the working directory, and durations are in microseconds. The terminal and the JSON
//! log are both written from records, so they cannot disagree.

use std::path::Path;
use std::time::{Duration, SystemTime};

use devrun::Remedy;
use devrun::change::Change;
use devrun::rules::{Defect, DefectKind};
use devrun::supervise::{ExitReport, ProcessExit};
use devrun::watch::{RootReport, Why};
use serde::Serialize;

use crate::ui::{ByteString, byte_string, time, worded};

/// The version of the schema. It is raised when a field changes its meaning or goes away, not when one is
/// added.
const VERSION: u32 = 1;

/// An event of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Record {
    Watching { files: usize, directories: usize, watches: usize, roots: Vec<RootRecord> },
    Listening { addresses: Vec<String> },
    Changed { changes: Vec<ChangedPath> },
    Restarting(Restarting),
    Building { generation: u64 },
    BuildFailed { generation: u64, end: EndRecord, serving: Option<u64> },
    Started { generation: u64, pid: u32, command: String, changed_to_start_us: Option<u64> },
    Ready(Ready),
    Draining { generation: u64 },
    InFlight { generation: u64, responses: usize, bytes: u64, oldest: String, since_us: u64 },
    Drained { generation: u64 },
    Stopping { generation: u64 },
    Stopped { generation: u64, changed_to_stop_us: Option<u64> },
    Crashed { generation: u64, end: EndRecord, serving: Option<u64>, was_ready: bool },
    Blocked { pid: u32, command: String, waited_us: u64 },
    Waiting { backoff_us: Option<u64> },
    Loop(RestartLoop),
    ReloaderInside { name: String, remedy: String },
    ListensElsewhere { generation: u64, address: String },
    RulesReloaded(RulesReloaded),
    ModeChanged { root: RootRecord },
    WaitingForGit(WaitingForGit),
    Rescanned { files: usize, took_us: u64 },
    Held { requests: usize },
    Answered { status: u16, request: String, detail: String },
    Reconfigured(Reconfigured),
    Paused,
    Resumed,
    Warning { message: String, remedy: String },
    Summary(Summary),
}

impl Record {
    /// The record as a line of JSON, without its end: `{"v":1,"time":"…","event":"changed",…}`. The time is UTC in
    /// the form of RFC 3339, with microseconds.
    pub(super) fn to_json(&self, time: SystemTime) -> String {
        #[derive(Serialize)]
        struct TimestampedRecord<'a> {
            v: u32,
            time: String,
            #[serde(flatten)]
            record: &'a Record,
        }
        let time = humantime::format_rfc3339_micros(time).to_string();
        serde_json::to_string(&TimestampedRecord { v: VERSION, time, record: self }).unwrap_or_default()
    }
}

/// A restart, and the paths whose change causes it; none if a key or a program requested it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Restarting {
    pub(super) generation: u64,
    #[serde(flatten, serialize_with = "byte_string::because")]
    pub(super) because: Vec<ByteString>,
}

/// A generation that is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Ready {
    pub(super) generation: u64,
    pub(super) address: Option<String>,
    pub(super) start_to_ready_us: u64,
    pub(super) changed_to_ready_us: Option<u64>,
    #[serde(skip)]
    pub(super) milestone: Milestone,
}

/// What devrun waits for after it has started a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Milestone {
    /// Nothing.
    Started,
    /// The server of the process.
    Ready,
}

/// A restart loop, with the rule that would end it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct RestartLoop {
    #[serde(flatten, serialize_with = "byte_string::path")]
    pub(super) path: ByteString,
    /// Whether `path` is a directory in which files of other names changed each time.
    pub(super) directory: bool,
    pub(super) times: u32,
    pub(super) rule: String,
}

/// The rule files that were read again, and what is watched now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct RulesReloaded {
    #[serde(flatten, serialize_with = "byte_string::files")]
    pub(super) files: Vec<ByteString>,
    pub(super) defects: Vec<DefectRecord>,
    pub(super) watched_files: usize,
    pub(super) watched_directories: usize,
}

/// A restart that waits for a git command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct WaitingForGit {
    /// The file whose existence shows that git is running.
    #[serde(flatten, serialize_with = "byte_string::marker")]
    pub(super) marker: ByteString,
}

/// An edited devrun.toml whose settings are in effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Reconfigured {
    #[serde(flatten, serialize_with = "byte_string::file")]
    pub(crate) file: ByteString,
    pub(crate) restarted: bool,
}

/// The totals of a run, in its last record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Summary {
    pub(super) generations: u64,
    pub(super) restarts: u64,
    pub(super) batches: u64,
    pub(super) changes: u64,
    pub(super) ignored: u64,
    pub(super) ran_us: u64,
    pub(super) down_us: u64,
}

/// A path that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ChangedPath {
    #[serde(flatten, serialize_with = "byte_string::path")]
    pub(super) path: ByteString,
    /// `created`, `changed` or `removed`.
    pub(super) kind: &'static str,
}

impl ChangedPath {
    pub(super) fn new(change: &Change, base: &Path) -> Self {
        Self { path: ByteString::from_relative_path(&change.path, base), kind: change.kind.as_str() }
    }
}

/// How a root is watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct RootRecord {
    #[serde(flatten, serialize_with = "byte_string::path")]
    pub(super) path: ByteString,
    /// `event` or `stat`.
    pub(super) mode: &'static str,
    /// `asked`, `local`, `missing`, `no-events: nfs`, `limit: …`.
    why: String,
    files: usize,
    directories: usize,
}

impl RootRecord {
    pub(super) fn new(root: &RootReport, base: &Path) -> Self {
        Self {
            path: ByteString::from_relative_path(&root.path, base),
            mode: root.mode.as_str(),
            why: why(&root.why),
            files: root.files,
            directories: root.directories,
        }
    }

    /// `event`, or `stat, no-events: nfs`.
    pub(super) fn mode_and_reason(&self) -> String {
        match self.why.as_str() {
            "asked" | "local" => self.mode.to_owned(),
            why => format!("{}, {why}", self.mode),
        }
    }

    /// `scanning (no-events: nfs)`
    pub(super) fn method_and_reason(&self) -> String {
        let method = if self.mode == "stat" { "scanning" } else { "events" };
        format!("{method} ({})", self.why)
    }
}

/// A bad line of a rule file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct DefectRecord {
    #[serde(flatten, serialize_with = "byte_string::file")]
    file: Option<ByteString>,
    line: u32,
    column: u32,
    #[serde(flatten, serialize_with = "byte_string::text")]
    text: ByteString,
    reason: String,
}

impl DefectRecord {
    pub(super) fn new(defect: &Defect, base: &Path) -> Self {
        let file = defect.source.as_deref();
        Self {
            file: file.map(|file| ByteString::from_relative_path(file, base)),
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

    /// `.watchignore:3:1: [z-a]: this can never match: …`
    pub(super) fn sentence(&self) -> String {
        let file = self.file.as_ref().map_or_else(|| "-i".to_owned(), ByteString::escaped);
        format!("{file}:{}:{}: {}: {}", self.line, self.column, self.text.escaped(), self.reason)
    }
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct EndRecord {
    /// `exited with status 1`, `was killed by SIGSEGV`.
    how: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<String>,
    ran_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl EndRecord {
    pub(super) fn new(report: &ExitReport) -> Self {
        let (status, signal) = match report.ended {
            ProcessExit::Status(status) | ProcessExit::NotStarted(status) => (Some(status), None),
            ProcessExit::Signal(signal) => (None, Some(signal.to_string())),
            _ => (None, None),
        };
        Self {
            how: report.ended.to_string(),
            status,
            signal,
            ran_us: micros(report.ran),
            message: report.message.as_ref().map(|message| with_remedy(message, &report.remedy)),
        }
    }

    /// Whether the process exited with status 0.
    pub(super) fn is_success(&self) -> bool {
        self.status == Some(0)
    }

    /// The message of the report. Without one: `the server exited with status 1 after 2.0 s`.
    pub(super) fn sentence(&self, subject: &str) -> String {
        match &self.message {
            Some(message) => message.clone(),
            None => format!("{subject} {} after {}", self.how, time(self.ran_us)),
        }
    }
}

/// Whole microseconds of a duration.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
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

/// `cannot run flsk: not found in PATH; did you mean flask?`
fn with_remedy(message: &str, remedy: &Remedy) -> String {
    match worded(remedy) {
        remedy if remedy.is_empty() => message.to_owned(),
        remedy => format!("{message}; {remedy}"),
    }
}
