//! Names that are not UTF-8: JSON holds their exact bytes next to the readable text, and `init` keeps them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::process::TestProcess;
use crate::support::sandbox::Sandbox;

/// `d\xff` as text and in Base64.
const DIRECTORY: (&str, &str) = ("d\u{fffd}", "ZP8=");
/// `d\xff/caf\xe9.rs`.
const FILE: (&str, &str) = ("d\u{fffd}/caf\u{fffd}.rs", "ZP8vY2Fm6S5ycw==");
/// `d\xff/.watchignore`.
const RULES: (&str, &str) = ("d\u{fffd}/.watchignore", "ZP8vLndhdGNoaWdub3Jl");
/// `x\xe9/`, a rule in that file.
const RULE: (&str, &str) = ("x\u{fffd}/", "eOkv");

fn path(bytes: &[u8]) -> PathBuf {
    OsStr::from_bytes(bytes).into()
}

fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write(path(b"d\xff/caf\xe9.rs"), "one");
    sandbox.write(path(b"d\xff/x\xe9/inner"), "");
    sandbox.write(path(b"d\xff/.watchignore"), b"x\xe9/\nx\xe9/\n");
    sandbox.write("plain.rs", "");
    sandbox
}

fn answer(sandbox: &Sandbox, args: &[&str], more: Option<&[u8]>) -> Value {
    let more = more.map(OsStr::from_bytes);
    let output = sandbox.devrun().args(args).args(more).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{args:?}: {error}: {output:?}"))
}

#[track_caller]
fn assert_name(object: &Value, key: &str, (text, exact): (&str, &str)) {
    assert_eq!((&object[key], &object[format!("{key}_b64")]), (&json!(text), &json!(exact)), "{object:#}");
}

#[test]
fn list_keeps_every_byte() {
    let sandbox = project();
    let list = answer(&sandbox, &["list", "--format", "json"], None);
    assert!(list["roots"][0].get("path_b64").is_none(), "{list:#}");
    assert_name(&list["directories"][1], "path", DIRECTORY);
    for list in [list, answer(&sandbox, &["list", "--flat", "--format", "json"], None)] {
        assert_eq!(list["files"], json!([FILE.0, "plain.rs"]));
        assert_eq!(list["files_b64"], json!([FILE.1, null]));
    }
    let list = answer(&sandbox, &["list", "--ignored", "--format", "json"], None);
    let ignored = &list["ignored"][0];
    assert_name(ignored, "path", ("d\u{fffd}/x\u{fffd}", "ZP8veOk="));
    assert_name(&ignored["rule"], "source", RULES);
    assert_name(&ignored["rule"], "pattern", RULE);
}

#[test]
fn explain_keeps_every_byte() {
    let sandbox = project();
    let said = answer(&sandbox, &["explain", "--format", "json"], Some(b"d\xff/x\xe9/inner"));
    assert_name(&said, "path", ("d\u{fffd}/x\u{fffd}/inner", "ZP8veOkvaW5uZXI="));
    assert_name(&said, "parent", ("d\u{fffd}/x\u{fffd}", "ZP8veOk="));
    assert_name(&said["rule"], "source", RULES);
    assert_name(&said["rule"], "pattern", RULE);
}

#[test]
fn check_keeps_every_byte() {
    let sandbox = project();
    let found = answer(&sandbox, &["check", "--format", "json"], None);
    let duplicate = found["findings"].as_array().unwrap().iter().find(|one| one["id"] == "duplicate-rule");
    let duplicate = duplicate.unwrap_or_else(|| panic!("{found:#}"));
    assert_name(duplicate, "file", RULES);
    assert_name(duplicate, "text", RULE);
    assert_name(&duplicate["related"], "file", RULES);
    let sarif = answer(&sandbox, &["check", "--format", "sarif"], None);
    let place = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "d%FF/.watchignore");
    assert_eq!(place["region"]["snippet"], json!({ "text": RULE.0, "binary": RULE.1 }));
}

#[test]
fn the_json_log_keeps_every_byte_and_messages_escape_them() {
    for format in ["json", "human"] {
        let sandbox = project();
        let options = ["-v", "--log-format", format, "--", "sleep", "1000"];
        let mut running = TestProcess::start(sandbox.devrun().args(options));
        running.wait_for_line(if format == "json" { "\"started\"" } else { "started" });
        sandbox.write(path(b"d\xff/caf\xe9.rs"), "two");
        let changed = running.wait_for_line(if format == "json" { "\"changed\"" } else { "changed" });
        let due = running.wait_for_line(if format == "json" { "\"restarting\"" } else { "is due" });
        sandbox.write(path(b"d\xff/.watchignore"), b"x\xe9/\n*.log\n");
        let rules = running.wait_for_line("rules");
        running.stop();
        if format == "human" {
            assert!(changed.contains("d\\xff/caf\\xe9.rs changed") && due.contains("d\\xff/caf\\xe9.rs"));
            assert!(rules.contains("d\\xff/.watchignore changed"), "{rules}");
            continue;
        }
        let [changed, due, rules]: [Value; 3] =
            [changed, due, rules].map(|line| serde_json::from_str(&line).unwrap());
        assert_name(&changed["changes"][0], "path", FILE);
        assert_eq!((&due["because"], &due["because_b64"]), (&json!([FILE.0]), &json!([FILE.1])));
        assert_eq!((&rules["files"], &rules["files_b64"]), (&json!([RULES.0]), &json!([RULES.1])));
    }
}
