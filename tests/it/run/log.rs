//! The log of real runs compared with docs/reference/events.md: every event has exactly the documented keys.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Map, Value};

use crate::support::process::TestProcess;
use crate::support::sandbox::{Sandbox, example};

type Keys = BTreeSet<String>;

/// The keys of each event, as documented, and which of them may be null.
fn documented() -> BTreeMap<String, (Keys, Keys)> {
    let mut events = BTreeMap::new();
    for line in
        include_str!("../../../docs/reference/events.md").lines().filter(|line| line.starts_with("| `"))
    {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let keys = cells[2].split(": list of").next().unwrap();
        let nullable = keys.split(", ").filter(|part| part.contains("or null"));
        let nullable: Keys = nullable.flat_map(|part| quoted(part).into_iter().take(1)).collect();
        for name in quoted(cells[1]) {
            events.insert(name, (quoted(&without_parentheses(keys)).into_iter().collect(), nullable.clone()));
        }
    }
    events
}

fn without_parentheses(text: &str) -> String {
    let mut depth = 0;
    let outside = |letter: &char| {
        depth += i32::from(*letter == '(');
        let is_outside = depth == 0;
        depth -= i32::from(*letter == ')');
        is_outside
    };
    text.chars().filter(outside).collect()
}

/// The words in backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn keys(object: &Map<String, Value>) -> Keys {
    object.keys().cloned().collect()
}

fn check(event: &Map<String, Value>, documented: &BTreeMap<String, (Keys, Keys)>) {
    assert_eq!(event["v"], 1);
    let time = event["time"].as_str().unwrap();
    assert!(time.len() == "2026-01-01T00:00:00.000000Z".len() && time.ends_with('Z'), "{time}");
    let (wanted, nullable) = documented.get(event["event"].as_str().unwrap()).expect("a documented event");
    let mut wanted = wanted.clone();
    wanted.extend(["v", "time", "event"].map(str::to_owned));
    assert_eq!(keys(event), wanted, "{event:?}");
    for (key, value) in event {
        assert!(!value.is_null() || nullable.contains(key), "{key} is null in {event:?}");
        assert!(!key.ends_with("_us") || value.is_null() || value.is_u64(), "{key} in {event:?}");
        match (key.as_str(), value) {
            ("roots", Value::Array(roots)) => roots.iter().for_each(check_root),
            ("root", root) => check_root(root),
            ("end", end) => check_end(end),
            ("changes", Value::Array(changes)) => changes.iter().for_each(check_change),
            ("defects", Value::Array(defects)) => defects.iter().for_each(check_defect),
            _ => {}
        }
    }
}

fn has_exactly(value: &Value, wanted: &[&str]) {
    assert_eq!(keys(value.as_object().unwrap()), wanted.iter().map(|key| (*key).to_owned()).collect());
}

fn check_root(root: &Value) {
    has_exactly(root, &["path", "mode", "why", "files", "directories"]);
    assert!(["event", "stat"].contains(&root["mode"].as_str().unwrap()));
}

fn check_end(end: &Value) {
    let keys = keys(end.as_object().unwrap());
    assert!(keys.contains("how") && end["ran_us"].is_u64(), "{end}");
    let known = ["how", "ran_us", "status", "signal", "message"];
    assert!(keys.iter().all(|key| known.contains(&key.as_str())), "{end}");
}

fn check_change(change: &Value) {
    has_exactly(change, &["path", "kind"]);
    assert!(["created", "changed", "removed"].contains(&change["kind"].as_str().unwrap()));
}

fn check_defect(defect: &Value) {
    has_exactly(defect, &["file", "line", "column", "text", "reason"]);
}

/// The events of a run that has ended. Each event is checked against its documentation.
fn events(running: &TestProcess) -> Vec<Map<String, Value>> {
    let documented = documented();
    let lines = running.lines();
    let objects = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let events: Vec<_> = objects.filter_map(|value| value.as_object().cloned()).collect();
    let events: Vec<_> = events.into_iter().filter(|event| event.contains_key("v")).collect();
    events.iter().for_each(|event| check(event, &documented));
    assert_eq!(events.first().unwrap()["event"], "watching");
    assert_eq!(events.last().unwrap()["event"], "summary");
    events
}

fn start(sandbox: &Sandbox, options: &[&str], steps: &str) -> TestProcess {
    let mut command = sandbox.devrun();
    command.args(["--log-format", "json", "-v"]).args(options).arg("--").arg(example("child"));
    command.args(steps.split(' ').map(|word| word.replace("{}", sandbox.outside().to_str().unwrap())));
    TestProcess::start(&mut command)
}

fn event(name: &str) -> String {
    format!("\"event\":\"{name}\"")
}

fn named(events: &[Map<String, Value>]) -> Vec<&str> {
    events.iter().map(|event| event["event"].as_str().unwrap()).collect()
}

fn of<'a>(events: &'a [Map<String, Value>], name: &str) -> Vec<&'a Map<String, Value>> {
    events.iter().filter(|event| event["event"] == name).collect()
}

#[test]
fn a_run_with_a_proxy_logs_the_documented_events() {
    let sandbox = Sandbox::new();
    let build = "test ! -e broken.py";
    let options = ["--proxy", "127.0.0.1:0", "--build", build];
    let mut devrun = start(&sandbox, &options, "print word serve 300");
    devrun.wait_for_line(&event("ready"));
    let address = {
        let line = devrun.wait_for_line(&event("listening"));
        let value: Value = serde_json::from_str(&line).unwrap();
        value["addresses"][0].as_str().unwrap().to_owned()
    };
    let mut client = TcpStream::connect(&address).unwrap();
    write!(client, "GET /slow/10/100 HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    client.read_exact(&mut [0; 9]).unwrap();
    sandbox.write("app.py", "one");
    devrun.wait_for_count(&event("ready"), 2);
    devrun.wait_for_line(&event("drained"));
    devrun.wait_for_line(&event("stopped"));
    sandbox.write("broken.py", "");
    devrun.wait_for_line(&event("build-failed"));
    sandbox.write(".watchignore", "data/\n[bad\n");
    devrun.wait_for_line(&event("rules-reloaded"));
    devrun.stop();
    let events = events(&devrun);
    let seen: BTreeSet<&str> = named(&events).into_iter().collect();
    let wanted = "building started ready changed restarting draining drained stopping stopped build-failed rules-reloaded";
    for name in wanted.split(' ') {
        assert!(seen.contains(name), "{name} in {seen:?}");
    }
    // Microseconds, from the change to the start and to readiness; the server takes 300 ms to open its port.
    let (started, ready) = (of(&events, "started")[1], of(&events, "ready")[1]);
    let number = |event: &Map<String, Value>, key: &str| event[key].as_u64().unwrap();
    let (to_start, to_ready) = (number(started, "changed_to_start_us"), number(ready, "changed_to_ready_us"));
    let serving = number(ready, "start_to_ready_us");
    // On a busy machine, devrun may learn of the start late.
    assert!((200_000..30_000_000).contains(&serving), "{serving}");
    assert!(to_start > 0 && to_ready >= to_start + 200_000 && to_ready < 60_000_000, "{to_start} {to_ready}");
    assert!(to_ready.abs_diff(to_start + serving) < 5_000, "{to_start} + {serving} != {to_ready}");
    let summary = events.last().unwrap();
    let counted = ["generations", "restarts", "failed"].map(|key| number(summary, key));
    assert_eq!(counted, [2, 2, 1], "the restart with the failed build counts");
    assert_eq!((number(summary, "batches"), number(summary, "changes")), (2, 2));
    assert_eq!(number(summary, "down_us"), 0, "generations overlapped: {summary:?}");
}

#[test]
fn a_run_that_fails_logs_the_documented_events() {
    let sandbox = Sandbox::new();
    sandbox.git(&["init", "-q"]);
    let mut devrun = start(&sandbox, &["--stop-timeout", "100ms"], "ignore 15 log {}/log up sleep");
    devrun.wait_for_line(&event("ready"));
    sandbox.write("app.py", "one");
    devrun.wait_for_line(&event("blocked"));
    devrun.wait_for_count(&event("ready"), 2);
    sandbox.write(".git/index.lock", "");
    sandbox.write("app.py", "two");
    devrun.wait_for_line(&event("waiting-for-git"));
    std::fs::remove_file(sandbox.path(".git/index.lock")).unwrap();
    devrun.wait_for_count(&event("ready"), 3);
    devrun.stop();
    let events = events(&devrun);
    let stopped = of(&events, "stopped");
    assert!(stopped[0]["changed_to_stop_us"].as_u64().unwrap() >= 100_000, "{stopped:?}");
    let down = events.last().unwrap()["down_us"].as_u64().unwrap();
    // Two stops of 100 ms each. On a busy machine, devrun may learn late that they began.
    assert!((50_000..60_000_000).contains(&down), "{down}");
}

#[test]
fn a_crash_is_time_down_until_the_end() {
    let sandbox = Sandbox::new();
    sandbox.write("devrun.toml", "[run]\nclear = false\n");
    let mut devrun = start(&sandbox, &[], "wait 50 exit 3");
    devrun.wait_for_line(&event("waiting"));
    sandbox.write("devrun.toml", "[run]\nclear = true\n");
    devrun.wait_for_line(&event("reconfigured"));
    let begun = std::time::Instant::now();
    crate::support::sandbox::wait_until("some time has passed", || begun.elapsed().as_millis() > 200);
    devrun.stop();
    let events = events(&devrun);
    let end = &of(&events, "crashed")[0]["end"];
    assert_eq!((&end["status"], &end["how"]), (&Value::from(3), &Value::from("exited with status 3")));
    assert!(events.last().unwrap()["down_us"].as_u64().unwrap() >= 200_000, "{events:?}");
}

#[test]
fn the_summary_counts_ignored_changes() {
    let sandbox = Sandbox::new();
    sandbox.write(".watchignore", "*.log\n");
    sandbox.write("app.py", "one");
    let mut command = sandbox.devrun();
    command.args(["-m", "event", "--", "sh", "-c", "echo child $DEVRUN_GENERATION; exec sleep 100"]);
    let mut devrun = TestProcess::start(&mut command);
    devrun.wait_for_line("child 1");
    for number in 0..3 {
        sandbox.write(format!("{number}.log"), "");
    }
    sandbox.write("app.py", "two");
    devrun.wait_for_line("child 2");
    devrun.stop();
    let line = devrun.wait_for_line("devrun: ran ");
    assert!(
        line.contains("1 restart for 1 changed file, ") && line.contains("events ignored, down for "),
        "{line}"
    );
}

#[test]
fn quiet_keeps_failures_and_verbose_adds_details() {
    let run = |option: &str| {
        let sandbox = Sandbox::new();
        let mut command = sandbox.devrun();
        command.args([option, "--on-exit", "quit", "--", "sh", "-c", "exit 3"]);
        let output = command.output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    let quiet = run("-q");
    assert!(quiet.starts_with("devrun: `sh` exited with status 3 after "), "{quiet}");
    assert_eq!(quiet.lines().count(), 1, "{quiet}");
    let verbose = run("-v");
    assert!(verbose.contains("generation 1 is running") && verbose.contains("watching 0 files"), "{verbose}");
}
