//! The requests and answers of a control socket, as JSON-RPC 2.0 has them in `params` and `result`.
//!
//! Times end in `_us`: moments are microseconds since 1970-01-01 UTC, durations are whole microseconds. A text that is not
//! UTF-8 has U+FFFD for each wrong byte, and a second key with the suffix `_b64` has the exact bytes in base64 (RFC 4648).

mod error;
mod request;
mod restart;
#[cfg(all(test, feature = "schema"))]
mod schema;
mod status;
mod text;
mod waited;

pub use error::{ErrorData, ErrorObject};
pub use request::{
    AttachParams, ClientNotification, HelloParams, LogEntry, LogsParams, Nothing, Request,
    ServerNotification, Services, VERSION, WaitParams, WhyParams,
};
pub use restart::{Cause, Change, Proof, Restart, RestartOutcome, ServiceHistory, Why};
pub use status::{Failure, Hello, Instance, ServiceStatus, State, Status};
pub use text::Bytes;
pub(in crate::control) use text::path_text;
pub use waited::{Accepted, ServiceOutcome, WaitOutcome, Waited, WaitedService};
