//! Bodies of requests and responses on their way through the proxy.

mod any_body;
mod request;
mod response;

pub(super) use any_body::AnyBody;
pub(super) use request::{AttemptBody, RequestBody};
pub(super) use response::{BodyEnd, BodyError, ResponseBody};
