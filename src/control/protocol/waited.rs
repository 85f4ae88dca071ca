//! What became of a request.

use serde::{Deserialize, Serialize};

use super::status::Failure;

/// The services that a request concerns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Accepted {
    /// The services.
    pub services: Vec<String>,
}

/// What became of the changes before a `wait`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Waited {
    /// `ready` if every service is; `late` if none has failed and the time was too short for one.
    pub outcome: WaitOutcome,
    /// Time that the answer took.
    pub took_us: u64,
    /// Each service.
    pub services: Vec<WaitedService>,
}

/// What became of the changes of all services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum WaitOutcome {
    /// All run.
    Ready,
    /// One does not.
    Failed,
    /// The time was too short.
    Late,
}

/// What became of the changes of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct WaitedService {
    /// The service.
    pub service: String,
    /// What became of the changes.
    pub outcome: ServiceOutcome,
    /// The generation that decided it.
    pub generation: Option<u64>,
    /// Why it has failed.
    pub failure: Option<Failure>,
}

/// What became of the changes of one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ServiceOutcome {
    /// They run.
    Ready,
    /// The generation with them has failed, or its build.
    Failed,
    /// The generation with them was ready, and has ended with status 0.
    Finished,
    /// The generation with them was ready, and has ended with another status or by a signal.
    Exited,
    /// They wait for `resume`.
    Paused,
    /// They wait for `start`.
    Halted,
    /// The service waits for its first change.
    NotStarted,
    /// The time was too short.
    Late,
}

impl ServiceOutcome {
    /// Whether the changes run, or have run to a good end.
    #[must_use]
    pub fn is_success(self) -> bool {
        matches!(self, Self::Ready | Self::Finished)
    }
}
