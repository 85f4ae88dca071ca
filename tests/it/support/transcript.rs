//! Shell transcripts as tests: a sandbox runs the `$ ` lines, and their output is compared with the file.
//!
//! `SNAPSHOTS=overwrite cargo test --test it` writes the files again.

use std::path::Path;
use std::process::Stdio;

use crate::support::sandbox::{Sandbox, rust_homes};

/// Runs all transcripts of a directory below `tests/cases`, each in its own sandbox.
pub(crate) fn check_all(dir: &str) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(dir);
    let mut files: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    assert!(!files.is_empty(), "no transcripts in {}", dir.display());
    for file in files {
        check(&file);
    }
}

/// Runs one transcript.
pub(crate) fn check(file: &Path) {
    let text = std::fs::read_to_string(file).unwrap();
    let actual = replay(&text);
    snapbox::assert_data_eq!(actual, snapbox::Data::read_from(file, None).raw());
}

/// The transcript with the present output of its commands.
pub(crate) fn replay(text: &str) -> String {
    let sandbox = Sandbox::new();
    let mut actual = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(command) = line.strip_prefix("$ ") else {
            // Comments and blank lines are kept. The output of each command is replaced.
            if line.is_empty() || line.starts_with("# ") {
                actual.push_str(line);
                actual.push('\n');
            }
            continue;
        };
        let mut script = command.to_owned();
        actual.push_str(&format!("$ {command}\n"));
        while let Some(more) = lines.next_if(|line| line.starts_with("> ") || *line == ">") {
            let more = more.strip_prefix("> ").unwrap_or("");
            script.push_str(&format!("\n{more}"));
            actual.push_str(format!("> {more}").trim_end());
            actual.push('\n');
        }
        actual.push_str(&run(&sandbox, &script));
    }
    actual
}

/// Runs one command. Returns its output on both streams, then `? STATUS` unless the status is 0.
fn run(sandbox: &Sandbox, script: &str) -> String {
    let bin = Path::new(env!("CARGO_BIN_EXE_devrun")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let output = sandbox
        .command("sh")
        .arg("-c")
        .arg(format!("exec 2>&1\n{script}"))
        .env("PATH", path)
        .envs(rust_homes())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let root = sandbox.root().to_str().unwrap();
    let mut shown = String::from_utf8_lossy(&output.stdout).replace(root, "[ROOT]");
    if !shown.is_empty() && !shown.ends_with('\n') {
        shown.push('\n');
    }
    // An output line that looks like a comment, a command or a separator is marked.
    let marked = |line: &str| line.is_empty() || line.starts_with(['#', '$', '>', '~']);
    let mut shown: String =
        shown.lines().map(|line| format!("{}{line}\n", if marked(line) { "~" } else { "" })).collect();
    if !output.status.success() {
        shown.push_str(&format!("? {}\n", output.status.code().unwrap_or(-1)));
    }
    shown
}
