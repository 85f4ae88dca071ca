//! Decisions of the installed git and of devrun's rules about paths, in one form.

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Stdio;

use devrun::rules::{EntryKind, Options, Rules};

use crate::support::sandbox::Sandbox;

/// The deciding rule: its source relative to the top, its line, its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decided {
    pub(crate) source: Vec<u8>,
    pub(crate) line: u32,
    pub(crate) pattern: Vec<u8>,
}

impl std::fmt::Display for Decided {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{} {}", self.source.escape_ascii(), self.line, self.pattern.escape_ascii())
    }
}

/// The decisions of `git check-ignore` for paths relative to the top directory, in their order.
pub(crate) fn ask_git(sandbox: &Sandbox, paths: &[Vec<u8>]) -> Vec<Option<Decided>> {
    ask_git_in(sandbox, sandbox.root(), &[], paths)
}

/// Runs `git check-ignore` in a directory with configuration (`key=value`).
pub(crate) fn ask_git_in(
    sandbox: &Sandbox,
    dir: &Path,
    config: &[&str],
    paths: &[Vec<u8>],
) -> Vec<Option<Decided>> {
    let mut command = sandbox.command("git");
    command.current_dir(dir);
    config.iter().for_each(|value| {
        command.args(["-c", value]);
    });
    command.args(["check-ignore", "-v", "-n", "-z", "--stdin", "--no-index"]);
    let mut git =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = git.stdin.take().unwrap();
    let mut input = Vec::new();
    for path in paths {
        // A path that starts with a colon would be read as a magic pathspec.
        input.extend_from_slice(if path.first() == Some(&b':') { b"./" } else { b"" });
        input.extend_from_slice(path);
        input.push(0);
    }
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = git.wait_with_output().unwrap();
    let written = writer.join().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1)), "git check-ignore: {} {errors}", output.status);
    written.unwrap();
    let fields: Vec<&[u8]> = output.stdout.split(|byte| *byte == 0).collect();
    assert_eq!(fields.len(), paths.len() * 4 + 1, "git answers each path: {errors}");
    fields.chunks_exact(4).map(decided_by_git).collect()
}

fn decided_by_git(fields: &[&[u8]]) -> Option<Decided> {
    let [source, line, pattern, _path] = fields else { unreachable!() };
    let line = std::str::from_utf8(line).unwrap().parse().ok()?;
    Some(Decided { source: source.to_vec(), line, pattern: pattern.to_vec() })
}

/// Options of rules that read the same files as git, and no others.
pub(crate) fn git_rules(top: &Path) -> Options {
    let mut options = Options::new(top);
    options.file_names.clear();
    options.builtin = false;
    options
}

/// devrun's decision for a path relative to the top directory. A path is a directory if it ends in `/` or is
/// one on disk.
pub(crate) fn ask_rules(rules: &Rules, top: &Path, path: &[u8]) -> Option<Decided> {
    let full = top.join(OsStr::from_bytes(path.strip_suffix(b"/").unwrap_or(path)));
    let kind = if path.ends_with(b"/") { EntryKind::Dir } else { EntryKind::of_path(&full) };
    let verdict = rules.verdict(&full, kind);
    assert_eq!(rules.is_ignored(&full, kind), verdict.is_ignored(), "{full:?}");
    let by = verdict.by.clone()?;
    assert_eq!(by.negated, !verdict.is_ignored(), "{full:?}");
    let source = by.source.as_deref().map(|source| source.strip_prefix(top).unwrap_or(source).to_path_buf());
    let source = source.unwrap_or_default().as_os_str().as_bytes().to_vec();
    Some(Decided { source, line: by.line, pattern: by.pattern.clone() })
}

/// Whether the installed git reads `foo**/bar` as one star (2.52 and later).
pub(crate) fn git_is_new(sandbox: &Sandbox) -> bool {
    let output = sandbox.command("git").arg("version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let version = text.trim().rsplit(' ').next().unwrap().to_owned();
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (2, 52)
}
