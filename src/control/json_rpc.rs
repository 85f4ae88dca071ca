//! Lines of JSON-RPC 2.0.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::protocol::{ErrorObject, Request};

/// A request with the `id` that its answer repeats.
#[derive(Debug)]
pub(super) struct Call {
    pub id: Value,
    pub request: Request,
}

/// An error, and the `id` of the request if it could be read.
#[derive(Debug)]
pub(super) struct Refusal {
    pub id: Value,
    pub error: ErrorObject,
}

/// Reads a request from a line.
pub(super) fn parse_call(line: &[u8]) -> Result<Call, Refusal> {
    let refusal = |id: &Value, code, message: String, remedy: &str| Refusal {
        id: id.clone(),
        error: ErrorObject::new(code, message, remedy),
    };
    let value: Value = serde_json::from_slice(line).map_err(|error| {
        let message = format!("the line is not JSON: {error}");
        refusal(&Value::Null, ErrorObject::PARSE_ERROR, message, "send one object a line")
    })?;
    let object = value.as_object().filter(|object| object.get("jsonrpc") == Some(&json!("2.0")));
    let id = value.get("id").filter(|id| id.is_string() || id.is_number());
    let (Some(object), Some(id)) = (object, id) else {
        let message = "the line is not a request of JSON-RPC 2.0".to_owned();
        let remedy = "send {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}";
        return Err(refusal(id.unwrap_or(&Value::Null), ErrorObject::INVALID_REQUEST, message, remedy));
    };
    let method = object.get("method").and_then(Value::as_str).unwrap_or_default();
    if !Request::METHODS.contains(&method) {
        let remedy = format!("the methods are {}", Request::METHODS.join(", "));
        let message = format!("there is no method {method:?}");
        return Err(refusal(id, ErrorObject::METHOD_NOT_FOUND, message, &remedy));
    }
    let request = from_method(object).map_err(|error| {
        let message = format!("the parameters of {method:?} are wrong: {error}");
        refusal(id, ErrorObject::INVALID_PARAMS, message, "docs/reference/control.md lists the parameters")
    })?;
    Ok(Call { id: id.clone(), request })
}

/// Reads a notification from a line; `None` if it is none.
pub(super) fn parse_notification<N: DeserializeOwned>(line: &[u8]) -> Option<N> {
    let value: Value = serde_json::from_slice(line).ok()?;
    from_method(value.as_object().filter(|object| !object.contains_key("id"))?).ok()
}

/// The value of `method` and `params`. Without parameters, an empty object stands for them.
fn from_method<T: DeserializeOwned>(object: &Map<String, Value>) -> serde_json::Result<T> {
    let params = object.get("params").cloned().unwrap_or_else(|| json!({}));
    serde_json::from_value(json!({ "method": object.get("method"), "params": params }))
}

/// The line of a request.
pub(super) fn call_line(id: u64, request: &Request) -> Vec<u8> {
    message_line(&Message { jsonrpc: "2.0", id: Some(json!(id)), body: request })
}

/// The line of a notification.
pub(super) fn notification_line(notification: &impl Serialize) -> Vec<u8> {
    message_line(&Message { jsonrpc: "2.0", id: None, body: notification })
}

/// The line of an answer.
pub(super) fn answer_line(id: Value, answer: Result<Value, ErrorObject>) -> Vec<u8> {
    let body = match answer {
        Ok(result) => json!({ "result": result }),
        Err(error) => json!({ "error": error }),
    };
    message_line(&Message { jsonrpc: "2.0", id: Some(id), body })
}

#[derive(Serialize)]
struct Message<T> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Value>,
    #[serde(flatten)]
    body: T,
}

fn message_line(message: &impl Serialize) -> Vec<u8> {
    // Serializing fails for maps with keys that are not text, and no message has one.
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::protocol::{ClientNotification, Nothing, Services};

    #[test]
    fn requests_are_read_as_they_are_written() {
        let request = Request::Restart(Services { services: vec!["api".to_owned()] });
        let line = call_line(7, &request);
        let text = r#"{"jsonrpc":"2.0","id":7,"method":"restart","params":{"services":["api"]}}"#;
        assert_eq!(String::from_utf8(line.clone()).unwrap(), format!("{text}\n"));
        let call = parse_call(&line).unwrap();
        assert_eq!((call.id, call.request), (json!(7), request));
        let short = parse_call(br#"{"jsonrpc":"2.0","id":"a","method":"down"}"#).unwrap();
        assert_eq!((short.id, short.request), (json!("a"), Request::Down(Nothing {})));
    }

    #[test]
    fn each_method_is_known_by_its_name() {
        for method in Request::METHODS {
            let line = json!({ "jsonrpc": "2.0", "id": 1, "method": method }).to_string();
            let call = parse_call(line.as_bytes()).unwrap();
            assert_eq!(serde_json::to_value(&call.request).unwrap()["method"], method);
        }
    }

    #[test]
    fn wrong_lines_are_refused_with_the_code_of_json_rpc() {
        let cases = [
            ("{", ErrorObject::PARSE_ERROR),
            ("[]", ErrorObject::INVALID_REQUEST),
            (r#"{"id":1,"method":"status"}"#, ErrorObject::INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","method":"status"}"#, ErrorObject::INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":[1],"method":"status"}"#, ErrorObject::INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":1}"#, ErrorObject::METHOD_NOT_FOUND),
            (r#"{"jsonrpc":"2.0","id":1,"method":"dance"}"#, ErrorObject::METHOD_NOT_FOUND),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"status","params":{"what":1}}"#,
                ErrorObject::INVALID_PARAMS,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"wait","params":{"timeout_ms":-1}}"#,
                ErrorObject::INVALID_PARAMS,
            ),
        ];
        for (line, code) in cases {
            assert_eq!(parse_call(line.as_bytes()).unwrap_err().error.code, code, "{line}");
        }
    }

    #[test]
    fn a_notification_has_no_id() {
        let line = br#"{"jsonrpc":"2.0","method":"interrupt","params":{}}"#;
        let interrupt: Option<ClientNotification> = parse_notification(line);
        assert_eq!(interrupt, Some(ClientNotification::Interrupt(Nothing {})));
        let call = br#"{"jsonrpc":"2.0","id":1,"method":"interrupt","params":{}}"#;
        assert_eq!(parse_notification::<ClientNotification>(call), None);
    }
}
