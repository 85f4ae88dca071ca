//! `devrun mcp`: the requests of the control socket as tools of the Model Context Protocol, over standard input and output.
//!
//! Follows the specification of 2025-06-18: JSON-RPC 2.0, one message a line. Each call finds the running devrun anew, so
//! the agent may start before it.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::process::Stdio;
use std::time::Duration;

use devrun::control::Error;
use devrun::control::protocol::{
    ErrorObject, LogsParams, ServerNotification, Services, WaitParams, WhyParams,
};
use serde::Deserialize;
use serde_json::{Value, from_value, json};
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::AbortHandle;

use super::instances::{self, Instance, request_error};
use super::stdin_lines::stdin_lines;
use crate::cli::control::Target;
use crate::ui::{CliError, ExitCode, Terminal};

/// The versions of the protocol that this server speaks, best first.
const VERSIONS: [&str; 3] = ["2025-06-18", "2025-03-26", "2024-11-05"];
/// Timeout for each answer after standard input has ended.
const LAST_ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Number of lines that the tool `logs` returns by default.
const LOG_LINES: u64 = 200;
/// Number of restarts that the tool `why` returns by default.
const RESTARTS: usize = 5;
/// Time that the tool `wait` waits by default, in milliseconds.
const WAIT_TIMEOUT_MS: u64 = 60_000;

/// Answers the requests of an agent until standard input ends. Each request is a task, so that a `wait` delays no other.
pub(super) async fn run(terminal: &mut Terminal) -> Result<ExitCode, CliError> {
    let mut lines = stdin_lines();
    let (sender, mut answers) = unbounded_channel::<Value>();
    let mut running: HashMap<String, AbortHandle> = HashMap::new();
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            Some(answer) = answers.recv() => {
                terminal.println_data(answer)?;
                terminal.flush()?;
                continue;
            }
        };
        let Some(line) = line else { break };
        let message = match parse(&line) {
            Ok(message) => message,
            Err(refusal) => {
                let _ = sender.send(refusal);
                continue;
            }
        };
        running.retain(|_, task| !task.is_finished());
        match message {
            Message::Request { id, method, params } => {
                let (key, sender) = (id.to_string(), sender.clone());
                let task = tokio::spawn(async move {
                    let body = match answer(&method, params).await {
                        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
                        Err(error) => json!({ "jsonrpc": "2.0", "id": id, "error": error }),
                    };
                    let _ = sender.send(body);
                });
                running.insert(key, task.abort_handle());
            }
            Message::Cancelled { id } => {
                running.remove(&id.to_string()).inspect(AbortHandle::abort);
            }
            Message::Other => {}
        }
    }
    // The agent has closed its side. What it has asked before is answered, if that does not take long.
    drop(sender);
    while let Ok(Some(answer)) = tokio::time::timeout(LAST_ANSWER_TIMEOUT, answers.recv()).await {
        terminal.println_data(answer)?;
        terminal.flush()?;
    }
    Ok(ExitCode::Success)
}

/// A message of the agent.
enum Message {
    Request {
        id: Value,
        method: String,
        params: Value,
    },
    /// `notifications/cancelled`: the agent does not want this answer any more.
    Cancelled {
        id: Value,
    },
    /// Another notification, or an answer to a request, of which this server sends none.
    Other,
}

/// Reads a line, or returns the answer that refuses it.
fn parse(line: &[u8]) -> Result<Message, Value> {
    let refusal = |id: &Value, code, message: &str| {
        let error = ErrorObject::new(code, message, "");
        json!({ "jsonrpc": "2.0", "id": id, "error": error })
    };
    let Ok(message) = serde_json::from_slice::<Value>(line) else {
        return Err(refusal(&Value::Null, ErrorObject::PARSE_ERROR, "the line is not JSON"));
    };
    let id = message.get("id").filter(|id| id.is_string() || id.is_number());
    let is_answer = message.get("result").is_some() || message.get("error").is_some();
    let method = message.get("method").and_then(Value::as_str);
    let is_valid = message.get("jsonrpc").is_some_and(|version| version == "2.0");
    let params = message.get("params").cloned().unwrap_or_else(|| json!({}));
    match (method, id) {
        (None, Some(_)) if is_answer => Ok(Message::Other),
        (Some(method), Some(id)) if is_valid => {
            Ok(Message::Request { id: id.clone(), method: method.to_owned(), params })
        }
        (Some("notifications/cancelled"), None) if is_valid => {
            Ok(Message::Cancelled { id: params.get("requestId").cloned().unwrap_or_default() })
        }
        (Some(_), None) if is_valid && message.get("id").is_none() => Ok(Message::Other),
        _ => Err(refusal(
            id.unwrap_or(&Value::Null),
            ErrorObject::INVALID_REQUEST,
            "the line is not a request of JSON-RPC 2.0",
        )),
    }
}

/// The result of a request, or its error.
async fn answer(method: &str, params: Value) -> Result<Value, ErrorObject> {
    match method {
        "initialize" => Ok(initialize(&params)),
        "ping" => Ok(json!({})),
        "tools/list" => Ok(json!({ "tools": tools() })),
        "tools/call" => {
            let name = params.get("name").and_then(Value::as_str).unwrap_or_default();
            let arguments = params.get("arguments").cloned().unwrap_or_else(|| json!({}));
            let call = Call::parse(name, arguments)
                .map_err(|message| ErrorObject::new(ErrorObject::INVALID_PARAMS, message, ""))?;
            Ok(call_result(call.perform().await))
        }
        _ => {
            Err(ErrorObject::new(ErrorObject::METHOD_NOT_FOUND, format!("there is no method {method:?}"), ""))
        }
    }
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

/// The call of a tool, with valid arguments.
enum Call {
    Status(Services),
    Logs(LogsArguments),
    Why(WhyParams),
    Restart(Services),
    Wait(WaitParams),
    Explain(ExplainArguments),
}

/// The arguments of the tool `logs`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LogsArguments {
    services: Vec<String>,
    lines: Option<u64>,
    generation: Option<u64>,
}

/// The arguments of the tool `explain`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExplainArguments {
    paths: Vec<String>,
}

/// The result of a call. A failure is a result for the agent to read, as the specification asks for.
fn call_result(result: Result<Value, CliError>) -> Value {
    let (value, is_error) = match result {
        Ok(value) => (value, false),
        Err(error) => (json!({ "error": error.message, "remedy": error.remedy }), true),
    };
    let text = value.to_string();
    json!({ "content": [{ "type": "text", "text": text }], "structuredContent": value, "isError": is_error })
}

impl Call {
    /// # Errors
    /// If there is no such tool, or if its arguments are wrong.
    fn parse(name: &str, arguments: Value) -> Result<Self, String> {
        let parsed = match name {
            "status" => from_value(arguments).map(Self::Status),
            "logs" => from_value(arguments).map(Self::Logs),
            "why" => from_value(arguments).map(Self::Why),
            "restart" => from_value(arguments).map(Self::Restart),
            "wait" => from_value(arguments).map(Self::Wait),
            "explain" => from_value(arguments).map(Self::Explain),
            _ => return Err(format!("there is no tool {name:?}")),
        };
        parsed.map_err(|error| format!("the arguments of {name:?} are wrong: {error}"))
    }

    async fn perform(self) -> Result<Value, CliError> {
        let names = match &self {
            Self::Explain(arguments) => return explain(&arguments.paths).await,
            Self::Status(arguments) | Self::Restart(arguments) => &arguments.services,
            Self::Logs(arguments) => &arguments.services,
            Self::Why(arguments) => &arguments.services,
            Self::Wait(arguments) => &arguments.services,
        };
        let target = Target { names: names.clone(), ..Target::default() };
        let mut answers = Vec::new();
        for instance in instances::named(&target).await? {
            answers.push(self.ask(instance).await.map_err(|error| request_error(&error))?);
        }
        Ok(match <[Value; 1]>::try_from(answers) {
            Ok([answer]) => answer,
            Err(answers) => json!({ "instances": answers }),
        })
    }

    /// Asks one running devrun.
    async fn ask(&self, instance: Instance) -> Result<Value, Error> {
        let Instance { mut client, services, .. } = instance;
        Ok(match self {
            Self::Status(_) => json!(client.status(&services).await?),
            Self::Restart(_) => json!(client.restart(&services).await?),
            Self::Why(arguments) => {
                let limit = Some(arguments.limit.unwrap_or(RESTARTS));
                json!(client.why(WhyParams { services, limit }).await?)
            }
            Self::Wait(arguments) => {
                let timeout_ms = Some(arguments.timeout_ms.unwrap_or(WAIT_TIMEOUT_MS));
                json!(client.wait(WaitParams { services, timeout_ms }).await?)
            }
            Self::Logs(arguments) => {
                let params =
                    LogsParams { services, generation: arguments.generation, ..LogsParams::default() };
                let mut text = Vec::new();
                let each = |notification| {
                    if let ServerNotification::Log(entry) = notification {
                        text.extend(entry.output.to_vec());
                    }
                    ControlFlow::Continue(())
                };
                client.logs(params, each).await?;
                json!({ "lines": last_lines(&text, arguments.lines.unwrap_or(LOG_LINES)) })
            }
            // It asks no running devrun.
            Self::Explain(_) => Value::Null,
        })
    }
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
