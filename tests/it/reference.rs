//! The pages of docs/reference are what the program generates, and the examples of docs/configuration.md hold.

use std::path::{Path, PathBuf};

use crate::sandbox::Sandbox;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

fn output(sandbox: &Sandbox, args: &[&str]) -> String {
    let output = sandbox.devrun().args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn generated_pages_are_fresh() {
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

#[test]
fn examples_of_the_configuration_page_are_read_without_complaint() {
    let page = std::fs::read_to_string(docs().join("configuration.md")).unwrap();
    let blocks: Vec<&str> =
        page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(blocks.len() >= 2);
    for block in blocks {
        let sandbox = Sandbox::new();
        sandbox.write("devrun.toml", block);
        sandbox.write("src/main.rs", "");
        let output = sandbox.devrun().arg("list").output().unwrap();
        assert!(output.status.success(), "{block}\n{}", String::from_utf8_lossy(&output.stderr));
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
    let verbs = ["-check", "-completions", "-doctor", "-explain", "-init", "-list", "-man", ""];
    assert_eq!(pages, verbs.map(|verb| format!("devrun{verb}.1")));
    for page in pages {
        let text = std::fs::read_to_string(sandbox.path("man").join(&page)).unwrap();
        assert!(text.contains(".TH ") && text.contains(".SH SYNOPSIS"), "{page}");
    }
}
