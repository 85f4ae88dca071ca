//! `devrun mcp`, with a small client that follows the specification of 2025-06-18.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::{Value, json};

use crate::support::process::TestProcess;
use crate::support::sandbox::{Sandbox, wait_until};

/// An agent's side of the connection.
struct Agent {
    process: Child,
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    last_id: u64,
}

impl Agent {
    fn start(sandbox: &Sandbox) -> Self {
        let mut command = sandbox.devrun();
        let mut process = command.arg("mcp").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { input: process.stdin.take(), lines, process, last_id: 0 }
    }

    fn send(&mut self, line: &str) {
        self.input.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn receive(&mut self) -> Value {
        let line = self.lines.next().unwrap().unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"))
    }

    /// Sends a request, and returns the answer, which has the same id.
    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string());
        let answer = self.receive();
        assert_eq!((&answer["jsonrpc"], &answer["id"]), (&"2.0".into(), &id.into()));
        answer
    }

    fn initialize(&mut self) -> Value {
        let info = json!({ "name": "test", "version": "1" });
        let params = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": info });
        let answer = self.ask("initialize", params);
        self.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        answer
    }

    /// Calls a tool. Returns its structured result, and whether it is an error.
    fn call(&mut self, name: &str, arguments: Value) -> (Value, bool) {
        let answer = self.ask("tools/call", json!({ "name": name, "arguments": arguments }));
        let result = &answer["result"];
        let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(text, result["structuredContent"]);
        (text, result["isError"].as_bool().unwrap())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.process.wait();
    }
}

#[test]
fn the_handshake_and_its_errors_follow_the_specification() {
    let sandbox = Sandbox::new();
    let mut agent = Agent::start(&sandbox);
    let result = agent.initialize()["result"].clone();
    assert_eq!(
        (&result["protocolVersion"], &result["serverInfo"]["name"]),
        (&"2025-06-18".into(), &"devrun".into())
    );
    assert!(result["capabilities"]["tools"].is_object());
    // A version that this server does not know is answered with the best one that it does.
    let unknown = agent.ask("initialize", json!({ "protocolVersion": "1999-01-01" }));
    assert_eq!(unknown["result"]["protocolVersion"], "2025-06-18");
    assert_eq!(agent.ask("ping", json!({}))["result"], json!({}));
    let tools = agent.ask("tools/list", json!({}))["result"]["tools"].as_array().unwrap().clone();
    let names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["status", "logs", "why", "restart", "wait", "explain"]);
    for tool in &tools {
        assert!(tool["inputSchema"]["type"] == "object" && !tool["description"].as_str().unwrap().is_empty());
    }
    assert_eq!(agent.ask("resources/list", json!({}))["error"]["code"], -32601);
    assert_eq!(agent.ask("tools/call", json!({ "name": "dance" }))["error"]["code"], -32602);
    agent.send("no json");
    let answer = agent.receive();
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&Value::Null, &(-32700).into()));
    for odd in [
        "[]",
        "null",
        "5",
        r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
    ] {
        agent.send(odd);
        assert_eq!(agent.receive()["error"]["code"], -32600, "{odd}");
    }
    let wrong = [
        ("restart", json!({ "services": "web" })),
        ("wait", json!({ "timeout_ms": -1 })),
        ("logs", json!({ "grep": "(" })),
        ("explain", json!({})),
    ];
    for (name, arguments) in wrong {
        let answer = agent.ask("tools/call", json!({ "name": name, "arguments": arguments }));
        assert_eq!(answer["error"]["code"], -32602, "{name}: {answer}");
    }
    let (error, is_error) = agent.call("status", json!({}));
    assert!(is_error && error["error"].as_str().unwrap().starts_with("no devrun runs in "), "{error}");
}

#[test]
fn the_tools_ask_the_running_devrun() {
    let sandbox = Sandbox::new();
    sandbox.write("app.txt", "good");
    sandbox.write(".watchignore", "downloads/\n");
    let line = "echo serving; grep -q bad app.txt && { echo SyntaxError: bad >&2; exit 3; }; exec sleep 1000";
    let _process = TestProcess::start(sandbox.devrun_without_loops(&[]).args(["--", "sh", "-c", line]));
    let mut agent = Agent::start(&sandbox);
    agent.initialize();
    wait_until("it answers", || !agent.call("status", json!({})).1);
    assert_eq!(agent.call("wait", json!({ "timeout_ms": 100_000 })).0["outcome"], "ready");
    sandbox.write("app.txt", "bad");
    wait_until("the failure is seen", || agent.call("wait", json!({})).0["outcome"] == "failed");
    let (waited, _) = agent.call("wait", json!({}));
    assert_eq!(waited["services"][0]["failure"]["output"], json!(["serving", "SyntaxError: bad"]));
    sandbox.write("app.txt", "good again");
    assert_eq!(agent.call("wait", json!({})).0["services"][0]["generation"], 3);
    let (why, _) = agent.call("why", json!({ "limit": 2 }));
    assert_eq!(why["services"][0]["restarts"].as_array().unwrap().len(), 2);
    wait_until("it serves", || {
        agent.call("logs", json!({ "generation": 3 })).0["lines"] == json!(["serving"])
    });
    agent.call("restart", json!({}));
    assert_eq!(agent.call("wait", json!({})).0["services"][0]["generation"], 4);
    let (status, _) = agent.call("status", json!({}));
    assert_eq!(status["services"][0]["state"], "ready");
    let (explained, _) = agent.call("explain", json!({ "paths": ["downloads/a.zip", "app.txt"] }));
    assert_eq!(explained["paths"].as_array().unwrap().len(), 2);
    let (error, is_error) = agent.call("status", json!({ "services": ["db"] }));
    assert!(is_error, "{error}");
}

#[test]
fn a_wait_delays_no_other_request_and_can_be_taken_back() {
    let sandbox = Sandbox::new();
    sandbox.write("app.txt", "good");
    crate::support::sandbox::fifo(&sandbox.path("gate"));
    let build = ["-w", "app.txt", "--build", "cat gate", "--", "sleep", "1000"];
    let _process = TestProcess::start(&mut sandbox.devrun_without_loops(&build));
    let mut agent = Agent::start(&sandbox);
    agent.initialize();
    wait_until("it answers", || !agent.call("status", json!({})).1);
    // The build reads a pipe to which nobody writes, so this wait has no answer.
    let call = json!({ "name": "wait", "arguments": {} });
    agent
        .send(&json!({ "jsonrpc": "2.0", "id": "slow", "method": "tools/call", "params": call }).to_string());
    assert_eq!(agent.ask("ping", json!({}))["result"], json!({}));
    agent.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"slow"}}"#);
    wait_until("it builds", || agent.call("status", json!({})).0["services"][0]["state"] == "building");
    std::fs::write(sandbox.path("gate"), "").unwrap();
    wait_until("it serves", || agent.call("status", json!({})).0["services"][0]["state"] == "ready");
}
