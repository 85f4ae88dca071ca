//! Clients that break the rules. The server refuses them, and goes on.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use devrun::control::protocol::ServiceOutcome;
use devrun::watch::Mode;
use serde_json::Value;

use super::types::Controlled;
use crate::support::sandbox::{PATIENCE, Sandbox, wait_until};

fn connect(socket: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn controlled(sandbox: &Sandbox) -> Controlled {
    sandbox.write("app.txt", "one");
    Controlled::start(sandbox, "exec sleep 1000", Mode::Event)
}

/// Sends lines, and returns the code of the error of each answer; 0 for a result.
fn codes(socket: &Path, lines: &[&str]) -> Vec<i64> {
    let mut stream = connect(socket);
    let mut answers = BufReader::new(stream.try_clone().unwrap()).lines();
    let answer = |line: &&str| {
        stream.write_all(format!("{line}\n").as_bytes()).unwrap();
        let answer: Value = serde_json::from_str(&answers.next().unwrap().unwrap()).unwrap();
        answer["error"]["code"].as_i64().unwrap_or_default()
    };
    lines.iter().map(answer).collect()
}

#[test]
fn wrong_requests_get_errors_and_the_connection_goes_on() {
    let sandbox = Sandbox::new();
    let controlled = controlled(&sandbox);
    let lines = [
        "hello",
        "{}",
        r#"{"jsonrpc":"2.0","id":1,"method":"dance"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"hello","params":{"protocol":9}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"status","params":[1]}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"status","params":{"services":["db"]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"status"}"#,
    ];
    assert_eq!(codes(&controlled.socket, &lines), [-32700, -32600, -32601, -32002, -32602, -32001, 0]);
}

#[test]
fn a_line_without_end_is_refused() {
    let sandbox = Sandbox::new();
    let controlled = controlled(&sandbox);
    let mut stream = connect(&controlled.socket);
    let chunk = vec![b'a'; 1 << 20];
    let mut sent = 0;
    // The server closes the connection long before the end.
    while sent < 1024 && stream.write_all(&chunk).is_ok() {
        sent += 1;
    }
    assert!(sent < 1024, "the server took 1 GB");
    assert_eq!(controlled.wait().0, ServiceOutcome::Ready);
}

#[test]
fn half_lines_and_clients_that_leave_cost_nothing() {
    let sandbox = Sandbox::new();
    let controlled = controlled(&sandbox);
    for _ in 0..300 {
        let mut stream = connect(&controlled.socket);
        stream.write_all(br#"{"jsonrpc":"2.0","id":1,"met"#).unwrap();
    }
    // Requests that wait, of clients that leave.
    controlled.ask(async |client| client.pause(&[]).await).unwrap();
    for number in 0..300 {
        sandbox.write("app.txt", number.to_string());
        let mut stream = connect(&controlled.socket);
        stream.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"wait\"}\n").unwrap();
    }
    controlled.ask(async |client| client.resume(&[]).await).unwrap();
    assert_eq!(controlled.wait().0, ServiceOutcome::Ready);
}

#[test]
fn a_flood_of_connections_is_refused_and_later_clients_are_served() {
    let sandbox = Sandbox::new();
    let controlled = controlled(&sandbox);
    let held: Vec<_> = (0..64).map(|_| connect(&controlled.socket)).collect();
    // Each of them is accepted before the next client is.
    let mut refused = connect(&controlled.socket);
    let mut answer = String::new();
    refused.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("64 clients are connected already"), "{answer}");
    drop(held);
    for _ in 0..500 {
        drop(connect(&controlled.socket));
    }
    wait_until("a client is served", || {
        let mut stream = connect(&controlled.socket);
        let _ = stream.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hello\"}\n");
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).is_ok() && line.contains("\"protocol\":1")
    });
    assert_eq!(controlled.wait().0, ServiceOutcome::Ready);
}
