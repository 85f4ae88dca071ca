//! The pages of docs/reference, compared with the output of the program.

use std::path::{Path, PathBuf};

use crate::support::sandbox::Sandbox;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

pub(crate) fn output(sandbox: &Sandbox, args: &[&str]) -> String {
    let output = sandbox.devrun().args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn generated_pages_are_up_to_date() {
    let sandbox = Sandbox::new();
    for (page, file) in
        [("cli", "cli.md"), ("configuration", "configuration.md"), ("schema", "devrun.schema.json")]
    {
        let text = output(&sandbox, &["reference", page]);
        let file = snapbox::Data::read_from(&docs().join("reference").join(file), None).raw();
        snapbox::assert_data_eq!(text, file);
    }
}

#[test]
fn every_option_has_an_example() {
    let page = std::fs::read_to_string(docs().join("reference/cli.md")).unwrap();
    let own = ["`-h, --help`", "`-V, --version`"];
    for entry in page.split("\n#### ").skip(1) {
        let name = entry.lines().next().unwrap();
        if name.starts_with("`-") && !own.contains(&name) {
            assert!(entry.contains("Example: `"), "no example for {name}");
        }
    }
}

#[test]
fn every_option_that_can_be_configured_is_in_the_schema() {
    let schema = std::fs::read_to_string(docs().join("reference/devrun.schema.json")).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let known: Vec<&String> = schema["properties"]
        .as_object()
        .unwrap()
        .values()
        .filter_map(|table| table["properties"].as_object())
        .flat_map(|table| table.keys())
        .collect();
    let page = std::fs::read_to_string(docs().join("reference/cli.md")).unwrap();
    let run = page.split("\n## ").find(|section| section.starts_with("`devrun`")).unwrap();
    for line in run.lines().filter_map(|line| line.strip_prefix("#### `")) {
        let long = line.split("--").nth(1).unwrap_or_default();
        let name = long.split([' ', '[', '`']).next().unwrap();
        let elsewhere = ["", "config", "profile", "help", "version", "watch"];
        assert!(elsewhere.contains(&name) || known.iter().any(|key| *key == name), "{name} has no key");
    }
}

/// A value that the schema of a key allows, as TOML, and as the text of its variable if it has one.
fn sample(key: &str, schema: &serde_json::Value) -> (String, Option<String>) {
    let special = match key {
        "proxy" => Some(("8000", "8000")),
        "listen" => Some(("[9000, 'udp:5353', 'web=unix:app.sock']", "9000\nudp:5353\nweb=unix:app.sock")),
        "stop-signal" => Some(("'SIGINT'", "15")),
        "ready-path" => Some(("'/health'", "/health")),
        "workdir" => Some(("'.'", ".")),
        "shell" => Some(("true", "bash")),
        "paths" => Some(("['src', 'src']", "src:src")),
        "pass-socket" => Some(("'werkzeug'", "werkzeug")),
        "no-watch" | "postpone" => Some(("false", "0")),
        _ => None,
    };
    if let Some((toml, variable)) = special {
        return (toml.into(), Some(variable.into()));
    }
    if let Some(words) = schema["enum"].as_array() {
        let word = words.last().unwrap().as_str().unwrap();
        return (format!("'{word}'"), Some(word.into()));
    }
    match (schema["type"].as_str(), schema["pattern"].as_str(), schema["anyOf"].as_array()) {
        (Some("boolean"), ..) => ("true".into(), Some("yes".into())),
        (Some("integer"), ..) => ("1".into(), Some("1".into())),
        (Some("string"), Some(_), _) => ("'1m30s'".into(), Some("90s".into())),
        (_, _, Some(any)) if any[0]["type"] == "object" => ("{ KEY = 'value', DEBUG = 1 }".into(), None),
        (_, _, Some(any)) if any[0]["enum"].is_array() => {
            let word = any[0]["enum"][0].as_str().unwrap();
            (format!("['{word}']"), Some(word.into()))
        }
        (_, _, Some(_)) => ("['a', 'b']".into(), Some("a".into())),
        _ => panic!("no sample for {key}: {schema}"),
    }
}

#[test]
fn every_key_of_the_schema_is_read_and_so_is_its_variable() {
    let schema = std::fs::read_to_string(docs().join("reference/devrun.schema.json")).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let mut file = String::new();
    let mut variables = Vec::new();
    for (table, properties) in schema["properties"].as_object().unwrap() {
        let Some(properties) = properties["properties"].as_object() else { continue };
        file.push_str(&format!("[{table}]\n"));
        for (key, schema) in properties {
            let (toml, variable) = sample(key, schema);
            file.push_str(&format!("{key} = {toml}\n"));
            let name = if key == "paths" { "watch" } else { key };
            if let Some(value) = variable.filter(|_| key != "command") {
                variables.push((format!("DEVRUN_{}", name.to_uppercase().replace('-', "_")), value));
            }
        }
    }
    assert!(variables.len() > 35);
    let sandbox = Sandbox::new();
    sandbox.write("src/main.rs", "");
    let mut with_variables = sandbox.devrun();
    with_variables.arg("check").envs(variables);
    sandbox.write("devrun.toml", &file);
    let mut with_file = sandbox.devrun();
    with_file.arg("check");
    for mut command in [with_file, with_variables] {
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code() != Some(2) && !stderr.contains("warning: the variable"),
            "{stderr}\n{file}"
        );
    }
}

#[test]
fn completions_and_manual_pages_know_every_subcommand() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = output(&sandbox, &["completions", shell]);
        for word in ["explain", "doctor", "stop-timeout", "proxy"] {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
    }
    output(&sandbox, &["man", "--dir", "man"]);
    let mut pages: Vec<_> = std::fs::read_dir(sandbox.path("man"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort();
    let verbs = "attach check completions doctor down explain init list logs man mcp pause ps restart resume start stop \
                 wait why";
    let mut expected: Vec<_> = verbs.split_whitespace().map(|verb| format!("devrun-{verb}.1")).collect();
    expected.push("devrun.1".to_owned());
    assert_eq!(pages, expected);
    for page in pages {
        let text = std::fs::read_to_string(sandbox.path("man").join(&page)).unwrap();
        assert!(text.contains(".TH ") && text.contains(".SH SYNOPSIS"), "{page}");
    }
}
