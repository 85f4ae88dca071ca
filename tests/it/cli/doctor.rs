//! `devrun doctor` names each problem of a later run, the process or file that causes it, and the remedy.

use serde_json::Value;

use crate::support::sandbox::Sandbox;

/// The checks of `doctor --format json`, and its exit status.
fn doctor(sandbox: &Sandbox, args: &[&str]) -> (Vec<Value>, i32) {
    let output = sandbox.devrun().args(["doctor", "--format", "json"]).args(args).output().unwrap();
    let json: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(json["version"], 1);
    (json["checks"].as_array().unwrap().clone(), output.status.code().unwrap())
}

fn level<'a>(checks: &'a [Value], id: &str) -> &'a str {
    let check = checks.iter().find(|check| check["id"] == id);
    check.unwrap_or_else(|| panic!("no {id} in {checks:#?}"))["level"].as_str().unwrap()
}

fn message(checks: &[Value], id: &str) -> String {
    let check = checks.iter().rfind(|check| check["id"] == id && check["level"] != "ok").unwrap();
    format!("{}; {}", check["message"].as_str().unwrap(), check["remedy"].as_str().unwrap())
}

#[test]
fn doctor_receives_events_on_this_machine() {
    let sandbox = Sandbox::new();
    sandbox.write("src/main.rs", "");
    let (checks, _) = doctor(&sandbox, &["--probe-roots"]);
    assert_eq!(level(&checks, "event-self-test"), "ok");
    assert_eq!(level(&checks, "event-in-root"), "ok");
    assert_eq!(level(&checks, "configuration"), "ok");
    assert_eq!(level(&checks, "root"), "ok");
    let left: Vec<_> =
        std::fs::read_dir(sandbox.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["src"], "the probe is removed");
}

#[test]
fn a_port_in_use_is_named_with_the_process_that_holds_it() {
    let sandbox = Sandbox::new();
    sandbox.write("src/main.rs", "");
    let held = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = held.local_addr().unwrap().to_string();
    let (checks, status) = doctor(&sandbox, &["--proxy", &address]);
    assert_eq!((level(&checks, "port"), status), ("error", 1));
    if cfg!(target_os = "linux") {
        let text = message(&checks, "port");
        assert!(text.contains(&format!("process {} ", std::process::id())), "{text}");
    }
}

#[test]
fn mistakes_in_files_are_findings() {
    let sandbox = Sandbox::new();
    sandbox.write("devrun.toml", "[watch]\ndebonce = 1\n");
    sandbox.write(".watchignore", "a[\n");
    sandbox.write("logs/a", "");
    let (checks, status) = doctor(&sandbox, &[]);
    assert_eq!((level(&checks, "configuration"), status), ("error", 1));
    let text = message(&checks, "configuration");
    assert!(text.contains("devrun.toml:2:1") && text.contains("`debounce`"), "{text}");
    assert!(message(&checks, "rules").contains(".watchignore:1"));
    assert!(message(&checks, "data-watched").contains("/logs/"));
}

#[test]
fn a_command_that_would_fail_is_named() {
    let sandbox = Sandbox::new();
    sandbox.write("manage.py", "import django");
    sandbox.write(
        "devrun.toml",
        "[watch]\npaths = ['src']\n[run]\ncommand = ['./uvicorn', 'app', '--reload', '--port', '{port}']\n",
    );
    let (checks, status) = doctor(&sandbox, &[]);
    assert_eq!(status, 1);
    assert_eq!(level(&checks, "command"), "error");
    assert_eq!(level(&checks, "reloader-inside"), "warning");
    assert!(message(&checks, "reloader-inside").contains("(uvicorn), beside devrun; leave out --reload"));
    assert_eq!(level(&checks, "port-placeholder"), "warning");
    assert_eq!(level(&checks, "python-bytecode"), "ok");
    assert!(message(&checks, "root").contains("src"));
}

#[test]
fn every_check_is_documented() {
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(source.join("docs/reference/json.md")).unwrap();
    let sandbox = Sandbox::new();
    sandbox.write("manage.py", "import django");
    sandbox.write(".watchdogignore", "*.zip\n");
    sandbox.write("logs/a", "");
    sandbox.write(
        "devrun.toml",
        "[watch]\nignore-file = ['.watchignore']\n[run]\ncommand = ['true']\n[server]\nproxy = 0\n",
    );
    let (checks, _) = doctor(&sandbox, &["--probe-roots"]);
    assert!(checks.len() > 10);
    for check in checks {
        let id = check["id"].as_str().unwrap();
        assert!(page.contains(&format!("`{id}`")), "{id} is not in docs/reference/json.md");
    }
}

#[test]
fn doctor_asks_cargo_once_and_says_why_no_command_is_known() {
    let sandbox = Sandbox::new();
    sandbox.write("Cargo.toml", "[package]");
    let programs = sandbox.outside().join("programs");
    std::fs::create_dir(&programs).unwrap();
    let log = programs.join("log");
    let script = format!("#!/bin/sh\necho \"$1\" >> '{}'\necho 'error: broken' >&2\nexit 1\n", log.display());
    std::fs::write(programs.join("cargo"), script).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(programs.join("cargo"), mode).unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let output = sandbox.devrun().env("PATH", path).args(["doctor", "--format", "json"]).output().unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = message(json["checks"].as_array().unwrap(), "project");
    assert!(text.contains("cargo metadata, which knows the binaries, failed: broken"), "{text}");
    assert_eq!(std::fs::read_to_string(log).unwrap(), "metadata\n");
}
