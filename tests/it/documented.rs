//! The pages' other examples: commands in tables and sentences, configuration, workflow files, JSON.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::readme::{assert_accepted, pages};
use super::sandbox::Sandbox;

/// The code spans of a page's tables and sentences.
fn spans(page: &str) -> Vec<String> {
    let mut in_block = false;
    let mut spans = Vec::new();
    for line in page.lines() {
        in_block ^= line.starts_with("```");
        if !in_block {
            spans.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    spans
}

/// The blocks of a page in one language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let start = format!("```{language}\n");
    page.split(start.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn every_command_in_a_table_or_a_sentence_is_accepted() {
    let mut count = 0;
    for (file, page) in pages() {
        for span in spans(&page) {
            // `devrun cargo run` is shown for what it is, an error, and a name is no command.
            let names = ["cargo run", "explain", "reference", "reference schema"];
            let Some(line) = span.strip_prefix("devrun ").filter(|line| !names.contains(line)) else {
                continue;
            };
            // Options alone stand for a run whose COMMAND is in devrun.toml.
            let is_whole = !line.contains(['…', '>']) && (!line.starts_with("--") || line.contains(" -- "));
            if is_whole && !file.ends_with("cli.md") {
                assert_accepted(&file, line);
                count += 1;
            }
        }
    }
    assert!(count > 30, "{count}");
}

#[test]
fn every_option_named_in_a_page_exists() {
    let sandbox = Sandbox::new();
    let mut known = BTreeSet::new();
    for verb in ["", "check", "explain", "list", "init", "doctor", "man"] {
        let words: Vec<&str> = [verb, "--help"].into_iter().filter(|word| !word.is_empty()).collect();
        let help = sandbox.devrun().args(words).output().unwrap().stdout;
        let help = String::from_utf8(help).unwrap();
        known.extend(help.split([' ', ',', '=', '[', '\n', '`', '\'']).map(str::to_owned));
    }
    let own = ["docs/configuration.md", "docs/guide.md", "docs/ci.md", "docs/limits.md"];
    for (file, page) in pages().iter().filter(|(file, _)| own.iter().any(|page| file.ends_with(page))) {
        for span in spans(page).iter().filter(|span| span.starts_with("--") && !span.contains('/')) {
            let option = span.split([' ', '=']).next().unwrap();
            // Those of the servers that devrun runs.
            let foreign = ["--reload", "--noreload", "--no-reload", "--fd", "--port"];
            assert!(
                known.contains(option) || foreign.contains(&option),
                "{}: there is no option {option}",
                file.display()
            );
        }
    }
}

#[test]
fn every_configuration_shown_is_read_without_complaint() {
    let mut count = 0;
    for (file, page) in pages() {
        for block in blocks(&page, "toml") {
            let sandbox = Sandbox::new();
            sandbox.write("devrun.toml", block);
            sandbox.write("src/main.rs", "");
            sandbox.write("templates/index.html", "");
            let output = sandbox.devrun().arg("list").output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.is_empty(), "{}:\n{block}\n{said}", file.display());
            count += 1;
        }
    }
    assert!(count >= 4, "{count}");
}

#[test]
fn every_command_of_a_workflow_is_accepted() {
    let mut count = 0;
    for (file, page) in pages() {
        for line in blocks(&page, "yaml").iter().flat_map(|block| block.lines()) {
            let line = line.trim_start().trim_start_matches("- ");
            let command = line.strip_prefix("run: devrun ").or_else(|| line.strip_prefix("entry: devrun "));
            if let Some(command) = command {
                assert_accepted(&file, command.split(" >").next().unwrap());
                count += 1;
            }
        }
    }
    assert!(count >= 3, "{count}");
}

/// The keys of a value, with the way to each.
fn keys(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                found.insert(format!("{at}.{key}"));
                keys(value, &format!("{at}.{key}"), found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| keys(value, &format!("{at}[]"), found)),
        _ => {}
    }
}

/// Holds a block of a page against what a command writes: the same keys, all the way down.
fn assert_same_keys(block: &str, sandbox: &Sandbox, args: &[&str]) {
    let shown: Value = serde_json::from_str(&block.replace("[...]", "[]")).expect(block);
    let output = sandbox.devrun().args(args).output().unwrap();
    let written: Value = serde_json::from_slice(&output.stdout).expect("the output is JSON");
    let (mut is, mut says) = (BTreeSet::new(), BTreeSet::new());
    keys(&written, "", &mut is);
    keys(&shown, "", &mut says);
    assert_eq!(is, says, "{args:?}\n{block}\n{written:#}");
}

/// A project in which each command has something to tell.
fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.git(&["init", "-q"]);
    sandbox.write("src/main.rs", "");
    sandbox.write("downloads/a.zip", "");
    sandbox.write(".watchignore", "downloads/\n!downloads/keep.txt\n");
    sandbox
}

#[test]
fn the_json_shown_is_what_is_written() {
    let page =
        |name: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
    let sandbox = project();
    let ci = page("docs/ci.md");
    let shown = blocks(&ci, "json");
    assert_same_keys(shown[0], &sandbox, &["check", "--format", "json"]);
    assert_same_keys(shown[1], &sandbox, &["explain", "--format", "json", "downloads/a.zip"]);
    let json = page("docs/reference/json.md");
    let shown = blocks(&json, "json");
    assert_same_keys(shown[0], &sandbox, &["list", "--format", "json"]);
    assert_same_keys(shown[1], &sandbox, &["list", "--ignored", "--format", "json"]);
    assert_same_keys(shown[3], &sandbox, &["doctor", "--format", "json"]);
}
