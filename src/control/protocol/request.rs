//! The requests, their parameters, and the notifications of both sides.

use serde::{Deserialize, Serialize};

use super::text::Bytes;

/// The version of this protocol. It grows when a key changes its meaning or goes away, not when one is added.
pub const VERSION: u32 = 1;

/// A request: `method` and `params` of JSON-RPC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "method", content = "params", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Request {
    /// Asks for the version of the protocol and the instance. The answer is a [`Hello`](super::Hello).
    Hello(HelloParams),
    /// Asks how the services are. The answer is a [`Status`](super::Status).
    Status(Services),
    /// Asks for the output of the services: a notification `log` for each piece, then an empty object.
    Logs(LogsParams),
    /// Asks for the last restarts. The answer is a [`Why`](super::Why).
    Why(WhyParams),
    /// Restarts the services, also halted ones. The answer is an [`Accepted`](super::Accepted), before the restart is done.
    Restart(Services),
    /// Stops the services; devrun goes on. The answer is an [`Accepted`](super::Accepted).
    Stop(Services),
    /// Starts the services that do not run. The answer is an [`Accepted`](super::Accepted).
    Start(Services),
    /// Remembers changes without a restart, until `resume`. The answer is an [`Accepted`](super::Accepted).
    Pause(Services),
    /// Restarts for changes again. The answer is an [`Accepted`](super::Accepted).
    Resume(Services),
    /// Waits until every change that was complete before the request runs or has failed. The answer is a [`Waited`](super::Waited).
    Wait(WaitParams),
    /// Connects the client with the standard input and the output of a service: notifications `input` and `interrupt` from
    /// the client, notifications `log` to it. The answer is an empty object, when the generation has ended.
    Attach(AttachParams),
    /// Ends devrun, and all services with it. The answer is an [`Accepted`](super::Accepted); the connection closes at the end.
    Down(Nothing),
}

impl Request {
    /// The names of all methods.
    pub const METHODS: [&str; 12] = [
        "hello", "status", "logs", "why", "restart", "stop", "start", "pause", "resume", "wait", "attach",
        "down",
    ];
}

/// A notification of the client, while it is attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "method", content = "params", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ClientNotification {
    /// Bytes for standard input.
    Input(Bytes),
    /// Ctrl-C: SIGINT for the service's process group.
    Interrupt(Nothing),
}

/// A notification of the server, before the answer to `logs` or `attach`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "method", content = "params", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ServerNotification {
    /// Output of a service.
    Log(LogEntry),
    /// Output that is not kept any more.
    Dropped {
        /// The service.
        service: String,
        /// Number of bytes that are missing here.
        bytes: u64,
    },
}

/// No parameters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// The parameters of `hello`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct HelloParams {
    /// The version that the client speaks. The server answers with an error if it does not speak that version.
    pub protocol: u32,
}

impl Default for HelloParams {
    fn default() -> Self {
        Self { protocol: VERSION }
    }
}

/// Names of services; empty: all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Services {
    /// The names.
    pub services: Vec<String>,
}

/// The parameters of `logs`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct LogsParams {
    /// Names of services; empty: all.
    pub services: Vec<String>,
    /// Whether further output follows, until the client closes the connection.
    pub follow: bool,
    /// Only output since this moment.
    pub since_us: Option<u64>,
    /// Only output of this generation.
    pub generation: Option<u64>,
}

/// The parameters of `why`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct WhyParams {
    /// Names of services; empty: all.
    pub services: Vec<String>,
    /// Maximum number of restarts for each service; absent: every kept one.
    pub limit: Option<usize>,
}

/// The parameters of `wait`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct WaitParams {
    /// Names of services; empty: all.
    pub services: Vec<String>,
    /// Maximum time to wait, in milliseconds; absent: without a limit.
    pub timeout_ms: Option<u64>,
}

/// The parameters of `attach`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct AttachParams {
    /// The service; absent: the only one.
    pub service: Option<String>,
}

/// A piece of a service's output, as it was read: it may hold several lines, or the beginning of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct LogEntry {
    /// The service.
    pub service: String,
    /// The generation that wrote it.
    pub generation: u64,
    /// `out` or `err`. A terminal for both is `err`.
    pub stream: String,
    /// When it was read.
    pub time_us: u64,
    /// The output.
    #[serde(flatten)]
    pub output: Bytes,
}
