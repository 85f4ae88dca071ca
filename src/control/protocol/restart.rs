//! The last restarts.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::status::Failure;
use super::text::path;

/// The last restarts of the services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Why {
    /// The services.
    pub services: Vec<ServiceHistory>,
}

/// The last restarts of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ServiceHistory {
    /// The service.
    pub service: String,
    /// The starts, oldest first, at most 50. The first start is one of them.
    pub restarts: Vec<Restart>,
}

/// The reason for a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Cause {
    /// It was the first start.
    FirstStart,
    /// Files have changed.
    Change,
    /// The earlier generation had ended by itself.
    End,
    /// A request.
    Request,
}

/// What became of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RestartOutcome {
    /// It is not decided.
    InProgress,
    /// The generation was ready.
    Ready,
    /// A build failed.
    BuildFailed,
    /// The generation ended before it was ready, or was not ready in time.
    Failed,
    /// The generation was ready, and ended by itself later.
    Exited,
    /// The generation was stopped before it was ready, for a newer one or by a request.
    Stopped,
}

/// One start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Restart {
    /// The generation.
    pub generation: u64,
    /// The reason.
    pub cause: Cause,
    /// The changed files, with the proof of each.
    pub changes: Vec<Change>,
    /// When the start was decided.
    pub due_us: u64,
    /// When the kernel reported the first change, or when a scan found it.
    pub changed_us: Option<u64>,
    /// Time from the first change to the start of the process; without a change, from the decision.
    pub to_start_us: Option<u64>,
    /// Time that the builds took.
    pub build_us: Option<u64>,
    /// Time from the first change until the generation was ready; without a change, from the decision.
    pub to_ready_us: Option<u64>,
    /// What became of it.
    pub outcome: RestartOutcome,
    /// Why it has failed or exited.
    pub failure: Option<Failure>,
}

/// A changed file. No rule ignores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Change {
    /// The path, relative to the project if it lies below it.
    pub path: String,
    /// The exact bytes of `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_b64: Option<String>,
    /// `created`, `changed` or `removed`.
    pub kind: String,
    /// How the change is known.
    pub proof: Proof,
}

impl Change {
    /// The path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        path(&self.path, self.path_b64.as_deref())
    }
}

/// How a change is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Proof {
    /// The content differs from before.
    Content,
    /// The file exists, and did not before; or the other way round.
    Existence,
    /// The size, a time or the inode differs.
    Signature,
}
