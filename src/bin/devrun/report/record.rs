//! One record per thing worth telling, in the shape of `--log-format json` (docs/reference/events.md).
//!
//! A record is plain data: paths are relative to the working directory, durations are microseconds. Both
//! writers render records, so that the terminal and the log can never tell different stories.

use serde::Serialize;

use crate::ui::byte_string::{self, ByteString};

/// The version of the schema; raised when a field changes its meaning or goes away, not when one is added.
pub(crate) const VERSION: u32 = 1;

/// One relevant path that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ChangedPath {
    #[serde(flatten, serialize_with = "byte_string::path")]
    pub(crate) path: ByteString,
    /// `created`, `changed` or `removed`.
    pub(crate) kind: &'static str,
}

/// How a root is watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct RootRecord {
    #[serde(flatten, serialize_with = "byte_string::path")]
    pub(crate) path: ByteString,
    /// `event` or `stat`.
    pub(crate) mode: &'static str,
    /// `asked`, `local`, `missing`, `no-events: nfs`, `limit: …`.
    pub(crate) why: String,
    pub(crate) files: usize,
    pub(crate) directories: usize,
}

/// A bad line of a rule file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct DefectRecord {
    #[serde(flatten, serialize_with = "byte_string::file")]
    pub(crate) file: Option<ByteString>,
    pub(crate) line: u32,
    pub(crate) column: u32,
    #[serde(flatten, serialize_with = "byte_string::text")]
    pub(crate) text: ByteString,
    pub(crate) reason: String,
}

/// How something ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct EndRecord {
    /// `exited with status 1`, `was killed by SIGSEGV`.
    pub(crate) how: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signal: Option<String>,
    pub(crate) ran_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
}

/// One thing worth telling.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Record {
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
    /// The last one.
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
