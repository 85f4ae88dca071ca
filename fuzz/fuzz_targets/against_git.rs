//! Compares devrun with the installed git: the verdict, line and pattern must be the same for each path.
//!
//! The input is a rule file, two NUL bytes, and paths that end with NUL. Each input runs a git process, so
//! this target is slow: run it with `-fork=2` for a night.
#![no_main]

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use devrun::rules::{EntryKind, Options, Rules};
use libfuzzer_sys::fuzz_target;

static REPOSITORY: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a temporary directory");
    assert!(git(dir.path()).args(["init", "-q"]).status().expect("git runs").success());
    dir
});

/// Whether the installed git treats the stars of `foo**/bar` as one star.
static IS_GIT_2_52: LazyLock<bool> = LazyLock::new(|| {
    let output = git(Path::new("/")).arg("version").output().expect("git runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut numbers = text.trim().rsplit(' ').next().unwrap_or_default().split('.').map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (2, 52)
});

fuzz_target!(|input: &[u8]| {
    let Some(at) = input.windows(2).position(|pair| pair == b"\0\0") else { return };
    let (content, paths) = (&input[..at], &input[at + 2..]);
    if content.split(|byte| *byte == b'\n').any(differs_before_2_52) && !*IS_GIT_2_52 {
        return;
    }
    let paths: Vec<Vec<u8>> = paths.split(|byte| *byte == 0).filter_map(clean).take(200).collect();
    if paths.is_empty() {
        return;
    }
    let top = REPOSITORY.path().canonicalize().expect("the directory exists");
    std::fs::write(top.join(".gitignore"), content).expect("write the rule file");
    let mut options = Options::new(&top);
    options.builtin = false;
    options.file_names.clear();
    let rules = Rules::new(options).expect("an existing directory");
    let answers = ask(&top, &paths);
    for (path, git) in paths.iter().zip(answers.split(|byte| *byte == 0).collect::<Vec<_>>().chunks_exact(4)) {
        let own = rules.verdict(&top.join(OsStr::from_bytes(path)), EntryKind::File).by;
        let own = own.map(|by| (by.line.to_string().into_bytes(), by.pattern.clone())).unwrap_or_default();
        assert_eq!((git[1].to_vec(), git[2].to_vec()), own, "{}", path.escape_ascii());
    }
});

fn git(dir: &Path) -> Command {
    let mut git = Command::new("git");
    git.current_dir(dir).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    git
}

fn ask(top: &Path, paths: &[Vec<u8>]) -> Vec<u8> {
    let mut command = git(top);
    command.args(["check-ignore", "-v", "-n", "-z", "--stdin", "--no-index"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("git runs");
    let mut input = Vec::new();
    for path in paths {
        input.extend_from_slice(if path[0] == b':' { b"./" } else { b"" });
        input.extend_from_slice(path);
        input.push(0);
    }
    let mut stdin = child.stdin.take().expect("standard input is piped");
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("git ends");
    writer.join().expect("no panic").expect("git reads all paths");
    output.stdout
}

/// Removes components that no path has, and components that git refuses.
fn clean(path: &[u8]) -> Option<Vec<u8>> {
    let parts: Vec<&[u8]> = path
        .split(|byte| *byte == b'/')
        .filter(|part| !matches!(*part, b"" | b"." | b"..") && part.len() < 256 && !part.eq_ignore_ascii_case(b".git"))
        .take(12)
        .collect();
    (!parts.is_empty()).then(|| parts.join(&b'/'))
}

/// Whether git before 2.52 matches a line differently: two stars behind literal text.
fn differs_before_2_52(line: &[u8]) -> bool {
    let text = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let text = text.strip_prefix(b"!").unwrap_or(text);
    let text = text.strip_prefix(b"/").unwrap_or(text);
    let literal = text.iter().take_while(|byte| !b"*?[\\".contains(byte)).count();
    literal > 0 && text[literal..].starts_with(b"**") && text[literal - 1] != b'/'
}
