//! How instances and services are.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::text::path;

/// The instance that a socket belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Hello {
    /// The version of the protocol.
    pub protocol: u32,
    /// The version of the crate.
    pub version: String,
    /// The instance.
    #[serde(flatten)]
    pub instance: Instance,
    /// The names of its services.
    pub services: Vec<String>,
}

/// How an instance and its services are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Status {
    /// The instance.
    #[serde(flatten)]
    pub instance: Instance,
    /// The services.
    pub services: Vec<ServiceStatus>,
}

/// One running devrun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Instance {
    /// The directory of the project, absolute.
    pub project: String,
    /// The exact bytes of `project`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_b64: Option<String>,
    /// The name. No other instance of the project has it.
    pub name: String,
    /// The process.
    pub pid: u32,
}

impl Instance {
    /// The directory of the project.
    #[must_use]
    pub fn project(&self) -> PathBuf {
        path(&self.project, self.project_b64.as_deref())
    }
}

/// The state of a service: that of its newest generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum State {
    /// No generation has begun.
    NotStarted,
    /// Its builds run.
    Building,
    /// A build has failed.
    BuildFailed,
    /// It runs, and is not ready yet.
    Starting,
    /// It serves.
    Ready,
    /// It finishes the requests in flight.
    Draining,
    /// It got the stop signal.
    Stopping,
    /// It was stopped, and its successor has not begun.
    Stopped,
    /// It ended by itself before it was ready, or was not ready in time.
    Failed,
    /// It ended by itself after it was ready.
    Exited,
}

impl State {
    /// The name in JSON: `build-failed`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotStarted => "not-started",
            Self::Building => "building",
            Self::BuildFailed => "build-failed",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Exited => "exited",
        }
    }
}

/// How a service is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ServiceStatus {
    /// The name.
    pub name: String,
    /// The command line.
    pub command: String,
    /// The state of the newest generation.
    pub state: State,
    /// When that state began.
    pub since_us: u64,
    /// The newest generation.
    pub generation: Option<u64>,
    /// The generation that serves; an older one than `generation` if the newer one is not ready or has failed.
    pub serving: Option<u64>,
    /// Whether the service was stopped by a request, and starts only by one.
    pub halted: bool,
    /// Whether changes are remembered without a restart.
    pub paused: bool,
    /// The first process of the newest generation that runs: of `serving` if a newer one has failed.
    pub pid: Option<u32>,
    /// When that process was started.
    pub started_us: Option<u64>,
    /// Where clients connect: `http://127.0.0.1:8000`.
    pub addresses: Vec<String>,
    /// Where the serving generation listens, if that is known.
    pub upstream: Option<String>,
    /// Number of restarts.
    pub restarts: u64,
    /// Number of restarts that failed.
    pub failed_restarts: u64,
    /// Number of requests that wait for a generation; absent without a proxy.
    pub held_requests: Option<usize>,
    /// Number of processes of the tree of `pid`; absent if the system does not tell.
    pub processes: Option<u32>,
    /// Resident memory of these processes. Memory that processes share counts several times.
    pub memory_bytes: Option<u64>,
    /// Processor time of these processes and of their ended children.
    pub cpu_us: Option<u64>,
    /// Why the newest generation has ended, if nothing asked for it.
    pub failure: Option<Failure>,
}

/// Why a generation or a build has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Failure {
    /// One sentence: `exited with status 1`.
    pub message: String,
    /// The last lines of its output, without escape sequences and blank lines.
    pub output: Vec<String>,
}
