//! What README.md and docs/ say is run: commands are accepted, options exist, links lead somewhere, output is real.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::sandbox::{Running, Sandbox};
use super::story_client::free_address;

/// The pages for users, with their names.
pub(crate) fn pages() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"].map(|name| root.join(name)).into();
    for dir in ["docs", "docs/reference"] {
        let entries = std::fs::read_dir(root.join(dir)).into_iter().flatten().flatten();
        files.extend(
            entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "md")),
        );
    }
    // CONTRIBUTING.md and SECURITY.md are in no published package.
    files.retain(|file| file.exists());
    files.sort();
    files.into_iter().map(|file| (file.clone(), std::fs::read_to_string(file).unwrap())).collect()
}

/// The `$ devrun …` lines of a page's console blocks; `cargo run -- …` is devrun too.
fn commands(page: &str) -> Vec<String> {
    let (mut commands, mut in_console) = (Vec::new(), false);
    for line in page.lines() {
        if line.starts_with("```") {
            in_console = line == "```console";
        } else if in_console && let Some(line) = line.strip_prefix("$ ") {
            let rest = line.strip_prefix("devrun ").or_else(|| line.strip_prefix("cargo run -- "));
            commands.extend(rest.map(str::to_owned));
        }
    }
    commands
}

/// Words as a shell splits them, with single and double quotes.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => word.get_or_insert_default().push(c),
            None if c == '\'' || c == '"' => {
                word.get_or_insert_default();
                quote = Some(c);
            }
            None if c.is_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// The same options on a command that ends at once, on free ports, and without long waits.
fn harmless(line: &str) -> Vec<String> {
    let mut words = words(line);
    if let Some(at) = words.iter().position(|word| word == "--") {
        words.truncate(at);
        if !words.iter().any(|word| word == "--on-exit") {
            words.extend(["--on-exit".into(), "quit".into()]);
        }
        words.extend(["--".into(), "true".into()]);
    }
    for at in 1..words.len() {
        let replaced = match words[at - 1].as_str() {
            "--proxy" | "--listen" => {
                let upstream = words[at].split_once('=').map(|(_, upstream)| format!("={upstream}"));
                Some(format!("{}{}", free_address(), upstream.unwrap_or_default()))
            }
            "--build" => Some("true".into()),
            "--hot" => Some("10ms".into()),
            _ => None,
        };
        if let Some(replaced) = replaced {
            words[at] = replaced;
        }
    }
    words
}

/// Runs a line as the pages show it, in a project with the names they speak of: it is accepted.
pub(crate) fn assert_accepted(file: &Path, line: &str) {
    let sandbox = Sandbox::new();
    for name in ["src/main.rs", "app.py", "Cargo.toml", "downloads/boq.zip", "examples/portal/main.rs"] {
        sandbox.write(name, "");
    }
    sandbox.write(".watchignore", "/downloads/\n");
    let mut devrun = sandbox.devrun();
    let output = devrun.args(harmless(line)).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_ne!(output.status.code(), Some(2), "{}: devrun {line}\n{said}", file.display());
    assert!(output.status.code().is_some(), "{}: devrun {line}: {}\n{said}", file.display(), output.status);
}

#[test]
fn every_command_shown_is_accepted() {
    for (file, page) in pages() {
        commands(&page).iter().for_each(|line| assert_accepted(&file, line));
    }
}

#[test]
fn every_option_in_a_table_exists() {
    let sandbox = Sandbox::new();
    let help = sandbox.devrun().arg("--help").output().unwrap();
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `-"));
    for row in rows {
        let option = format!("-{}", row.split([' ', '`', '[', '=']).next().unwrap());
        let known = help.lines().any(|line| {
            let line = line.trim_start();
            line.split([' ', ',', '=', '[']).take(3).any(|word| word == option)
        });
        assert!(known, "{option} is in README.md and not in --help");
    }
}

#[test]
fn every_link_leads_somewhere() {
    for (file, page) in pages() {
        for part in page.split("](").skip(1) {
            let target = part.split([')', '#']).next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            assert!(
                file.parent().unwrap().join(target).exists(),
                "{}: {target} is not there",
                file.display()
            );
        }
    }
}

/// The lines under "What you see" are those of a real run, in the project they speak of.
#[test]
fn the_output_shown_is_real() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let shown = readme.split("tests/it/readme.rs. -->").nth(1).unwrap();
    let shown = shown.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let sandbox = Sandbox::new();
    sandbox.write(".watchignore", "/downloads/\n");
    sandbox.write("src/app.sh", "sleep 1000");
    let mut running = Running::start(sandbox.devrun().args(["-m", "event", "--", "sh", "src/app.sh"]));
    running.wait_for_line("watching");
    sandbox.write("downloads/boq.zip", "not a source");
    sandbox.write("src/app.sh", "sleep 2000");
    running.wait_for_line("restarted");
    running.stop();
    let said: Vec<String> = running.lines().iter().map(|line| without_numbers(line)).collect();
    for line in shown.lines() {
        assert!(said.contains(&without_numbers(line)), "README.md shows {line:?}, but devrun said {said:#?}");
    }
}

/// Times and process ids differ from run to run.
fn without_numbers(line: &str) -> String {
    let mut text = String::new();
    for c in line.trim_end().chars() {
        match c {
            '0'..='9' if text.ends_with('#') => {}
            '0'..='9' => text.push('#'),
            _ => text.push(c),
        }
    }
    // A busy machine restarts in seconds.
    text.replace("#.#", "#").replace("# ms", "# s")
}
