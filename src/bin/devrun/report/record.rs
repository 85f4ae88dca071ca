//! The events of a run as plain data, in the shape of `--log-format json` (docs/reference/events.md).
//!
//! Paths are relative to the working directory, and durations are in microseconds. The terminal and the JSON
//! log are both written from records, so they cannot disagree.

use std::path::Path;
use std::time::Duration;

use devrun::Remedy;
use devrun::change::Change;
use devrun::rules::{Defect, DefectKind};
use devrun::supervise::{ExitReport, ProcessExit};
use devrun::watch::{RootReport, Why};
use serde::Serialize;

use crate::ui::byte_string::{self, ByteString};
use crate::ui::numbers::time;
use crate::ui::remedy::worded;

/// The version of the schema. It is raised when a field changes its meaning or goes away, not when one is
/// added.
pub(super) const VERSION: u32 = 1;

/// An event of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(super) enum Record {
    Watching {
        files: usize,
        directories: usize,
        watches: usize,
        roots: Vec<RootRecord>,
    },
    Listening {
        addresses: Vec<String>,
    },
    Changed {
        changes: Vec<ChangedPath>,
    },
    Restarting {
        generation: u64,
        #[serde(flatten, serialize_with = "byte_string::because")]
        because: Vec<ByteString>,
    },
    Building {
        generation: u64,
    },
    BuildFailed {
        generation: u64,
        end: EndRecord,
        serving: Option<u64>,
    },
    Started {
        generation: u64,
        pid: u32,
        command: String,
        changed_to_start_us: Option<u64>,
    },
    Ready {
        generation: u64,
        address: Option<String>,
        start_to_ready_us: u64,
        changed_to_ready_us: Option<u64>,
    },
    Draining {
        generation: u64,
    },
    InFlight {
        generation: u64,
        responses: usize,
        bytes: u64,
        oldest: String,
        since_us: u64,
    },
    Drained {
        generation: u64,
    },
    Stopping {
        generation: u64,
    },
    Stopped {
        generation: u64,
        changed_to_stop_us: Option<u64>,
    },
    Crashed {
        generation: u64,
        end: EndRecord,
        serving: Option<u64>,
        was_ready: bool,
    },
    Blocked {
        pid: u32,
        command: String,
        waited_us: u64,
    },
    Waiting {
        backoff_us: Option<u64>,
    },
    Loop {
        #[serde(flatten, serialize_with = "byte_string::path")]
        path: ByteString,
        /// Files of other names in this directory changed each time.
        directory: bool,
        times: u32,
        rule: String,
    },
    ReloaderInside {
        name: String,
        remedy: String,
    },
    ListensElsewhere {
        generation: u64,
        address: String,
    },
    RulesReloaded {
        #[serde(flatten, serialize_with = "byte_string::files")]
        files: Vec<ByteString>,
        defects: Vec<DefectRecord>,
        watched_files: usize,
        watched_directories: usize,
    },
    ModeChanged {
        root: RootRecord,
    },
    WaitingForGit {
        #[serde(flatten, serialize_with = "byte_string::marker")]
        marker: ByteString,
    },
    Rescanned {
        files: usize,
        took_us: u64,
    },
    Held {
        requests: usize,
    },
    Answered {
        status: u16,
        request: String,
        detail: String,
    },
    Reconfigured {
        #[serde(flatten, serialize_with = "byte_string::file")]
        file: ByteString,
        restarted: bool,
    },
    Paused,
    Resumed,
    Warning {
        message: String,
        remedy: String,
    },
    /// The last record of a run.
    Summary {
        generations: u64,
        restarts: u64,
        batches: u64,
        changes: u64,
        ignored: u64,
        ran_us: u64,
        down_us: u64,
    },
}

/// A path that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct ChangedPath {
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
pub(super) struct RootRecord {
    #[serde(flatten, serialize_with = "byte_string::path")]
    path: ByteString,
    /// `event` or `stat`.
    mode: &'static str,
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

    /// Whether both roots are watched in the same mode.
    pub(super) fn has_mode_of(&self, other: &Self) -> bool {
        self.mode == other.mode
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

    /// The path for the terminal.
    pub(super) fn escaped_path(&self) -> String {
        self.path.escaped()
    }
}

/// A bad line of a rule file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct DefectRecord {
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
pub(super) struct EndRecord {
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
