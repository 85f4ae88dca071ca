//! `devrun explain`: text, JSON, streams, exit statuses.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use crate::support::sandbox::Sandbox;

/// The exit status and the output.
fn run(command: &mut Command) -> (i32, String) {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap_or_else(|| panic!("{}: {errors}", output.status)), text + &errors)
}

fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write(".watchignore", "downloads/\n*.zip\n!keep.zip\n");
    sandbox.write("src/main.rs", "");
    sandbox.write("downloads/a.txt", "");
    sandbox
}

#[test]
fn each_path_gets_a_line_with_the_rule_that_decides() {
    let sandbox = project();
    let paths = [
        "src/main.rs",
        "src/a.zip",
        "keep.zip",
        "downloads/a.txt",
        "downloads",
        "a.pyc",
        "x.log",
        "no such/é",
    ];
    let (status, text) = run(sandbox.devrun().args(["explain", "-i", "*.log"]).args(paths));
    assert_eq!(
        text,
        "src/main.rs  watched\n\
         src/a.zip  ignored by .watchignore:2  *.zip\n\
         keep.zip  watched by .watchignore:3  !keep.zip\n\
         downloads/a.txt  ignored by .watchignore:1  downloads/  (with its parent downloads/)\n\
         downloads  ignored by .watchignore:1  downloads/\n\
         a.pyc  ignored by the built-in rules  *.py[cod]\n\
         x.log  ignored by -i  *.log\n\
         no such/é  watched\n"
    );
    assert_eq!(status, 0);
}

#[test]
fn a_directory_that_its_content_excludes_is_named_with_the_reason() {
    let sandbox = Sandbox::new();
    let tag = "Signature: 8a477f597d28d172789f06886806bc55";
    sandbox.write("target/CACHEDIR.TAG", tag);
    sandbox.write("target/debug/a.rs", "");
    sandbox.write("trees/x/.git", "gitdir: /app/.git/worktrees/x\n");
    sandbox.write("app.py", "");
    let explained = run(sandbox.devrun().args(["explain", "target", "target/debug/a.rs", "trees/x/a.rs"])).1;
    let link = "trees/x/.git:1  gitdir: /app/.git/worktrees/x";
    let expected = format!(
        "target  ignored by target/CACHEDIR.TAG:1  {tag}\n\
         target/debug/a.rs  ignored by target/CACHEDIR.TAG:1  {tag}  (with its parent target/)\n\
         trees/x/a.rs  ignored by {link}  (with its parent trees/x/)\n"
    );
    assert_eq!(explained, expected);
    let listed = run(sandbox.devrun().args(["list", "--ignored"])).1;
    assert_eq!(listed, format!("target/  target/CACHEDIR.TAG:1  {tag}\ntrees/x/  {link}\n"));
    let (_, tree) = run(sandbox.devrun().args(["list", "-m", "stat"]));
    assert!(tree.starts_with(".  stat (as configured): 1 file in 2 directories\n"), "{tree}");
    assert!(!tree.contains("target"), "{tree}");
    assert_eq!(run(sandbox.devrun().args(["list", "--flat"])).1, "app.py\n");
    let check = |path: &str| run(sandbox.devrun().args(["check", "--expect-watched", path]));
    assert_eq!(check("app.py").0, 0);
    let (status, text) = check("target/debug/a.rs");
    assert_eq!(status, 1, "{text}");
    assert!(
        text.contains("target/debug/a.rs must be watched, and is ignored by `target/CACHEDIR.TAG`"),
        "{text}"
    );
}

#[test]
fn paths_left_out_by_extensions_and_filters_are_named() {
    let sandbox = project();
    let (status, text) =
        run(sandbox.devrun().args(["explain", "-e", "rs", "src/main.rs", "README.md", "src/", "a.zip"]));
    assert_eq!(
        text,
        "src/main.rs  watched\n\
         README.md  left out: --ext and --filter do not select it\n\
         src/  watched\n\
         a.zip  ignored by .watchignore:2  *.zip\n"
    );
    assert_eq!(status, 0);
    let (_, json) =
        run(sandbox.devrun().args(["explain", "--format", "json", "-f", "src/*.rs", "README.md"]));
    assert_eq!(json, "{\"path\":\"README.md\",\"ignored\":false,\"left_out\":true,\"rule\":null}\n");
    let (status, text) = run(sandbox.devrun().args(["check", "-e", "rs", "--expect-watched", "README.md"]));
    assert!(status == 1 && text.contains("no extension or filter wants it"), "{status} {text}");
    let (status, text) = run(sandbox.devrun().args(["check", "-e", "rs", "--expect-ignored", "README.md"]));
    assert_eq!(status, 0, "{text}");
}

#[test]
fn the_status_is_zero_if_a_path_is_ignored() {
    let sandbox = project();
    assert_eq!(run(sandbox.devrun().args(["explain", "src", "a.zip"])).0, 0);
    assert_eq!(run(sandbox.devrun().args(["explain", "src", "keep.zip"])).0, 1);
    let (status, text) = run(sandbox.devrun().arg("explain"));
    assert!(status == 2 && text.contains("no path to explain"), "{status} {text}");
    let (status, text) = run(sandbox.devrun().args(["explain", "--ignore-file", "./missing", "a"]));
    assert!(status == 2 && text.contains("missing"), "{status} {text}");
    assert_eq!(run(sandbox.devrun().args(["explain", "--stdin"]).stdin(Stdio::null())), (1, String::new()));
}

#[test]
fn json_has_one_object_per_path_in_their_order() {
    let sandbox = project();
    let (_, text) = run(sandbox.devrun().args([
        "explain",
        "--format",
        "json",
        "downloads/a.zip",
        "src/main.rs",
        "b.pyc",
    ]));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..2],
        [
            concat!(
                r#"{"path":"downloads/a.zip","ignored":true,"rule":{"layer":"watchignore","source":".watchignore","#,
                r#""line":1,"pattern":"downloads/"},"parent":"downloads"}"#
            ),
            r#"{"path":"src/main.rs","ignored":false,"rule":null}"#,
        ]
    );
    assert_eq!(lines.len(), 3);
    let last: serde_json::Value = serde_json::from_str(lines[2]).unwrap();
    assert_eq!(last["rule"]["layer"], "builtin");
    assert_eq!(last["rule"]["source"], serde_json::Value::Null);
}

#[test]
fn a_path_is_a_directory_on_disk_or_by_its_slash_and_a_link_is_none() {
    let sandbox = project();
    std::os::unix::fs::symlink("src", sandbox.path("downloads-link")).unwrap();
    sandbox.write(".watchignore", "d/\ndownloads-link/\nsrc/\n");
    let (_, text) =
        run(sandbox.devrun().args(["explain", "d", "d/", "downloads-link", "downloads-link/", "src"]));
    let words: Vec<&str> =
        text.lines().map(|line| line.split("  ").nth(1).unwrap().split(' ').next().unwrap()).collect();
    assert_eq!(words, ["watched", "ignored", "watched", "ignored", "ignored"], "{text}");
}

#[test]
fn sources_are_named_relative_to_where_devrun_was_started() {
    let sandbox = project();
    sandbox.git(&["init", "-q"]);
    sandbox.write("src/.gitignore", "*.o\n");
    let mut command = sandbox.devrun();
    command.current_dir(sandbox.path("src")).args(["explain", "a.zip", "a.o", "../src/./x/../b.o"]);
    let absolute = sandbox.path("downloads/a");
    let (_, text) = run(command.arg(&absolute));
    let expected = format!(
        "a.zip  ignored by ../.watchignore:2  *.zip\na.o  ignored by .gitignore:1  *.o\n\
         ../src/./x/../b.o  ignored by .gitignore:1  *.o\n\
         {}  ignored by ../.watchignore:1  downloads/  (with its parent ../downloads/)\n",
        absolute.display()
    );
    assert_eq!(text, expected);
}

#[test]
fn control_characters_are_escaped_and_json_keeps_every_byte() {
    let sandbox = project();
    sandbox.write(".watchignore", b"*\xe9*\n");
    let name = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"a\x1b[31m\xe9\n");
    let (_, text) = run(sandbox.devrun().arg("explain").arg(name));
    assert_eq!(text, "a\\u{1b}[31m\\xe9\\n  ignored by .watchignore:1  *\\xe9*\n");
    let (_, text) = run(sandbox.devrun().args(["explain", "--format", "json"]).arg(name));
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["path"], "a\u{1b}[31m\u{fffd}\n");
    assert_eq!(answer["path_b64"], "YRtbMzFt6Qo=");
    assert_eq!(answer["rule"]["pattern"], "*\u{fffd}*");
    assert_eq!(answer["rule"]["pattern_b64"], "Kukq");
}

#[test]
fn each_answer_is_written_before_the_next_path_is_read() {
    let sandbox = project();
    let mut command = sandbox.devrun();
    command.args(["explain", "--stdin", "--format", "json"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for (path, ignored) in
        [("a.zip", true), ("src/main.rs", false), ("keep.zip", false), ("with\rreturn", false)]
    {
        stdin.write_all(format!("{path}\n").as_bytes()).unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let answer: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((answer["path"].as_str().unwrap(), answer["ignored"].as_bool().unwrap()), (path, ignored));
    }
    // The last line needs no newline.
    stdin.write_all(b"last.zip").unwrap();
    drop(stdin);
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert!(line.contains("last.zip") && child.wait().unwrap().success(), "{line}");
}

#[test]
fn a_reader_that_closes_its_pipe_is_no_failure() {
    let sandbox = project();
    let mut command = sandbox.devrun();
    command.args(["explain", "--stdin", "-z"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    // The input is larger than any buffer. The program may end before it has read all of it.
    let _ = stdin.write_all(&b"some/path.zip\0".repeat(100_000));
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}

#[test]
fn the_configuration_of_git_counts() {
    let sandbox = project();
    sandbox.git(&["init", "-q"]);
    let global = sandbox.outside().join("my ignores");
    std::fs::write(&global, "*.mine\n").unwrap();
    sandbox.git(&["config", "core.excludesFile", global.to_str().unwrap()]);
    sandbox.write(".git/info/exclude", "*.local\n");
    let (_, text) =
        run(sandbox.devrun().args(["explain", "--no-default-ignore", "a.mine", "a.local", "A.ZIP"]));
    let expected = format!(
        "a.mine  ignored by {}:1  *.mine\na.local  ignored by .git/info/exclude:1  *.local\nA.ZIP  watched\n",
        global.display()
    );
    assert_eq!(text, expected);
    sandbox.git(&["config", "core.ignoreCase", "true"]);
    assert_eq!(
        run(sandbox.devrun().args(["explain", "A.ZIP"])).1,
        "A.ZIP  ignored by .watchignore:2  *.zip\n"
    );
    let (_, text) = run(sandbox.devrun().args(["explain", "--no-vcs-ignore", "a.mine", "a.local"]));
    assert_eq!(text, "a.mine  watched\na.local  watched\n");
}

#[test]
fn json_keeps_every_character_of_a_name() {
    let sandbox = Sandbox::new();
    // DEL, C1 controls and an escape sequence, which the filter for terminal text would drop.
    let name = "a\u{7f}b\u{9b}31mc\u{1b}cd.py";
    sandbox.write(".watchignore", format!("{name}\n"));
    for format in ["json", "github", "sarif"] {
        let (_, text) = run(sandbox.devrun().args(["check", "--format", format]));
        assert!(!text.contains("panicked"), "{text}");
    }
    let (status, text) = run(sandbox.devrun().args(["explain", "--format", "json", name]));
    assert_eq!(status, 0, "{text}");
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["path"], name);
    assert_eq!(answer["rule"]["pattern"], name);
    sandbox.write(name, "");
    let (_, text) = run(sandbox.devrun().args(["list", "--ignored", "--format", "json"]));
    let listed: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(listed["ignored"][0]["path"], name, "{text}");
}
