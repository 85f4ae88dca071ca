//! The JSON schema of the protocol, `docs/reference/control.schema.json`, from the types.

use schemars::JsonSchema;

use super::{
    Accepted, ClientNotification, ErrorObject, Hello, Request, ServerNotification, Status, Waited, Why,
};

/// Each type that stands in a line: requests and notifications with `method` and `params`, results by their method, and
/// errors.
#[derive(JsonSchema)]
#[schemars(title = "The control socket of devrun, protocol version 1")]
#[allow(dead_code, reason = "only its schema is used")]
struct Protocol {
    request: Request,
    client_notification: ClientNotification,
    server_notification: ServerNotification,
    /// The result of `hello`.
    hello: Hello,
    /// The result of `status`.
    status: Status,
    /// The result of `why`.
    why: Why,
    /// The result of `wait`.
    wait: Waited,
    /// The result of `restart`, `stop`, `start`, `pause`, `resume` and `down`.
    accepted: Accepted,
    error: ErrorObject,
}

#[test]
fn the_schema_on_the_page_is_that_of_the_types() {
    let schema = serde_json::to_string_pretty(&schemars::schema_for!(Protocol)).unwrap() + "\n";
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/control.schema.json");
    // As for the other cases: read the difference before it is committed.
    if std::env::var_os("SNAPSHOTS").is_some_and(|value| value == "overwrite") {
        std::fs::write(&file, &schema).unwrap();
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), schema);
}
