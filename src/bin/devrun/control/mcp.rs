//! `devrun mcp`: the requests of the control socket as tools of the Model Context Protocol, over standard input and output.
//!
//! Follows the specification of 2025-06-18: JSON-RPC 2.0, one message a line. Each call finds the running devrun anew, so
//! the agent may start before it.

use std::io::BufRead as _;
use std::process::Stdio;

use devrun::control::protocol::{LogsParams, ServerNotification, WaitParams, WhyParams};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::instances::{self, Instance, request_error};
use crate::cli::control::Target;
use crate::ui::{CliError, ExitCode, Terminal};

/// The versions of the protocol that this server speaks, best first.
const VERSIONS: [&str; 3] = ["2025-06-18", "2025-03-26", "2024-11-05"];
/// Number of lines that the tool `logs` returns by default.
const LOG_LINES: u64 = 200;
/// Number of restarts that the tool `why` returns by default.
const RESTARTS: usize = 5;
/// Time that the tool `wait` waits by default, in milliseconds.
const WAIT_TIMEOUT_MS: u64 = 60_000;

/// Errors of JSON-RPC 2.0.
const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const METHOD_NOT_FOUND: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;

/// Answers the requests of an agent until standard input ends.
pub(super) async fn run(terminal: &mut Terminal) -> Result<ExitCode, CliError> {
    let mut lines = input_lines();
    while let Some(line) = lines.recv().await {
        if let Some(answer) = answer(&line).await {
            terminal.println_data(answer)?;
            terminal.flush()?;
        }
    }
    Ok(ExitCode::Success)
}

/// The lines of standard input. A thread reads them, because reading cannot be cancelled.
fn input_lines() -> UnboundedReceiver<String> {
    let (sender, receiver) = unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The answer to a message; `None` for a notification.
async fn answer(line: &str) -> Option<Value> {
    let error = |id: &Value, code: i32, message: String| {
        Some(json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } }))
    };
    let Ok(message) = serde_json::from_str::<Value>(line) else {
        return error(&Value::Null, PARSE_ERROR, "the line is not JSON".to_owned());
    };
    let id = message.get("id");
    let Some(method) = message.get("method").and_then(Value::as_str) else {
        // An answer to a request, of which this server sends none.
        id.filter(|_| message.get("result").is_none() && message.get("error").is_none())?;
        return error(id?, INVALID_REQUEST, "the message has no method".to_owned());
    };
    let id = id?;
    let params = message.get("params").cloned().unwrap_or_else(|| json!({}));
    let result = match method {
        "initialize" => initialize(&params),
        "ping" => json!({}),
        "tools/list" => json!({ "tools": tools() }),
        "tools/call" => {
            let name = params.get("name").and_then(Value::as_str).unwrap_or_default();
            if !tools().iter().any(|tool| tool["name"] == name) {
                return error(id, INVALID_PARAMS, format!("there is no tool {name:?}"));
            }
            let empty = Map::new();
            call(name, params.get("arguments").and_then(Value::as_object).unwrap_or(&empty)).await
        }
        _ => return error(id, METHOD_NOT_FOUND, format!("there is no method {method:?}")),
    };
    Some(json!({ "jsonrpc": "2.0", "id": id, "result": result }))
}

fn initialize(params: &Value) -> Value {
    let asked = params.get("protocolVersion").and_then(Value::as_str).unwrap_or_default();
    let version = VERSIONS.iter().find(|version| **version == asked).unwrap_or(&VERSIONS[0]);
    json!({
        "protocolVersion": version,
        "capabilities": { "tools": { "listChanged": false } },
        "serverInfo": { "name": "devrun", "version": env!("CARGO_PKG_VERSION") },
        "instructions": "devrun runs the development server of this project and restarts it when a source file changes. \
            After an edit call `wait`: it says whether the new code runs, with the error if it does not. \
            Do not start a second server.",
    })
}

fn tools() -> [Value; 6] {
    let services = json!({ "type": "array", "items": { "type": "string" },
        "description": "Names of services; all if left out" });
    let tool = |name: &str, description: &str, mut properties: Value| {
        properties["services"] = services.clone();
        json!({ "name": name, "description": description,
            "inputSchema": { "type": "object", "properties": properties, "additionalProperties": false } })
    };
    let number = |description: &str| json!({ "type": "integer", "minimum": 0, "description": description });
    let mut explain = tool(
        "explain",
        "Which rule makes devrun watch or ignore each path.",
        json!({
        "paths": { "type": "array", "items": { "type": "string" }, "description": "Paths of files or directories" } }),
    );
    explain["inputSchema"] = json!({ "type": "object", "properties": { "paths": explain["inputSchema"]["properties"]["paths"] },
        "required": ["paths"], "additionalProperties": false });
    [
        tool(
            "status",
            "What runs: state, process, address to open, restarts, memory, and the error of a failed start.",
            json!({}),
        ),
        tool(
            "logs",
            "The output of the server.",
            json!({
            "lines": number("Number of last lines; 200 if left out"),
            "generation": number("Only the output of this run of the server") }),
        ),
        tool(
            "why",
            "The last restarts: the changed files, times, outcome, and the error of a failed one.",
            json!({ "limit": number("Number of restarts; 5 if left out") }),
        ),
        tool("restart", "Restarts the server. Call `wait` afterwards.", json!({})),
        tool(
            "wait",
            "Waits until all edits made so far run or have failed; returns the error of a failure.",
            json!({ "timeout_ms": number("Maximum time in milliseconds; 60000 if left out") }),
        ),
        explain,
    ]
}

/// Calls a tool. A failure is a result for the agent to read, as the specification asks for.
async fn call(name: &str, arguments: &Map<String, Value>) -> Value {
    let (value, is_error) = match perform(name, arguments).await {
        Ok(value) => (value, false),
        Err(error) => (json!({ "error": error.message, "remedy": error.remedy }), true),
    };
    let text = value.to_string();
    json!({ "content": [{ "type": "text", "text": text }], "structuredContent": value, "isError": is_error })
}

async fn perform(name: &str, arguments: &Map<String, Value>) -> Result<Value, CliError> {
    if name == "explain" {
        return explain(&strings(arguments, "paths")).await;
    }
    let target = Target { names: strings(arguments, "services"), ..Target::default() };
    let number = |key: &str| arguments.get(key).and_then(Value::as_u64);
    let mut answers = Vec::new();
    for Instance { mut client, services, .. } in instances::named(&target).await? {
        let answer = match name {
            "status" => client.status(&services).await.map(|answer| json!(answer)),
            "restart" => client.restart(&services).await.map(|answer| json!(answer)),
            "why" => {
                let limit = number("limit").and_then(|limit| usize::try_from(limit).ok());
                let params = WhyParams { services, limit: Some(limit.unwrap_or(RESTARTS)) };
                client.why(params).await.map(|answer| json!(answer))
            }
            "wait" => {
                let timeout_ms = Some(number("timeout_ms").unwrap_or(WAIT_TIMEOUT_MS));
                client.wait(WaitParams { services, timeout_ms }).await.map(|answer| json!(answer))
            }
            _ => {
                let generation = number("generation");
                let params = LogsParams { services, generation, ..LogsParams::default() };
                let mut text = Vec::new();
                let logs = client.logs(params, |notification| {
                    if let ServerNotification::Log(entry) = notification {
                        text.extend(entry.output.to_vec());
                    }
                });
                logs.await
                    .map(|()| json!({ "lines": last_lines(&text, number("lines").unwrap_or(LOG_LINES)) }))
            }
        };
        answers.push(answer.map_err(|error| request_error(&error))?);
    }
    Ok(match <[Value; 1]>::try_from(answers) {
        Ok([answer]) => answer,
        Err(answers) => json!({ "instances": answers }),
    })
}

/// The last lines of output, without escape sequences.
fn last_lines(output: &[u8], limit: u64) -> Vec<String> {
    let plain = anstream::adapter::strip_bytes(output).into_vec();
    let text = String::from_utf8_lossy(&plain);
    let lines: Vec<_> = text.lines().collect();
    let skipped = lines.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
    lines.into_iter().skip(skipped).map(str::to_owned).collect()
}

/// The answer of `devrun explain`, which needs no running devrun.
async fn explain(paths: &[String]) -> Result<Value, CliError> {
    let failed = |error: std::io::Error| CliError::failed_to("run `devrun explain`", &error);
    let program = std::env::current_exe().map_err(failed)?;
    let mut command = tokio::process::Command::new(program);
    command.args(["explain", "--format", "json", "--"]).args(paths).stdin(Stdio::null());
    let output = command.output().await.map_err(failed)?;
    let answers: Vec<Value> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    if answers.is_empty() {
        return Err(CliError::new(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    Ok(json!({ "paths": answers }))
}

fn strings(arguments: &Map<String, Value>, key: &str) -> Vec<String> {
    let values = arguments.get(key).and_then(Value::as_array).into_iter().flatten();
    values.filter_map(Value::as_str).map(str::to_owned).collect()
}
