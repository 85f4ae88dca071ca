//! Errors, as JSON-RPC has them.

use serde::{Deserialize, Serialize};

/// An error of JSON-RPC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ErrorObject {
    /// The code: one of JSON-RPC, or one of [`ErrorObject`]'s.
    pub code: i32,
    /// One sentence.
    pub message: String,
    /// More about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<ErrorData>,
}

/// More about an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ErrorData {
    /// What the client can do about it.
    pub remedy: String,
}

impl ErrorObject {
    /// The line is not JSON.
    pub const PARSE_ERROR: i32 = -32700;
    /// The object is not a request, or its line is too long.
    pub const INVALID_REQUEST: i32 = -32600;
    /// There is no such method.
    pub const METHOD_NOT_FOUND: i32 = -32601;
    /// The method does not have these parameters.
    pub const INVALID_PARAMS: i32 = -32602;
    /// There is no such service.
    pub const UNKNOWN_SERVICE: i32 = -32001;
    /// The server does not speak this version of the protocol.
    pub const UNKNOWN_PROTOCOL: i32 = -32002;
    /// The maximum number of clients is connected.
    pub const TOO_MANY_CLIENTS: i32 = -32003;
    /// The service cannot do that as it runs now.
    pub const NOT_POSSIBLE: i32 = -32004;

    /// An error with a remedy; empty: without one.
    #[must_use]
    pub fn new(code: i32, message: impl Into<String>, remedy: &str) -> Self {
        let data = (!remedy.is_empty()).then(|| ErrorData { remedy: remedy.to_owned() });
        Self { code, message: message.into(), data }
    }
}
