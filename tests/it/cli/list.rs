//! `devrun list` shows the watched and the ignored files. Each source of options overrides the ones below it.

use std::process::{Output, Stdio};

use crate::support::process::TestProcess;
use crate::support::sandbox::Sandbox;

fn list(sandbox: &Sandbox, args: &[&str]) -> String {
    text(sandbox.devrun().arg("list").args(args).output().unwrap())
}

fn text(output: Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout).unwrap()
}

fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write(".watchignore", "/downloads/\n*.out\n");
    sandbox.write("src/main.rs", "");
    sandbox.write("src/deep/er/lib.rs", "");
    sandbox.write("src/noise.out", "");
    sandbox.write("downloads/deep/a.zip", "");
    sandbox.write("app.py", "");
    sandbox
}

#[test]
fn each_file_that_counts_is_listed_and_no_other() {
    let sandbox = project();
    assert_eq!(list(&sandbox, &["--flat"]), "app.py\nsrc/deep/er/lib.rs\nsrc/main.rs\n");
    assert_eq!(list(&sandbox, &["--flat", "-z", "-e", "rs"]), "src/deep/er/lib.rs\0src/main.rs\0");
    assert_eq!(list(&sandbox, &["--flat", "-w", "src", "-i", "deep"]), "src/main.rs\n");
}

#[test]
fn the_tree_shows_the_number_of_files_and_the_watch_mode() {
    let sandbox = project();
    let tree = list(&sandbox, &["-m", "stat"]);
    assert!(tree.starts_with(".  stat (as configured): 3 files in 4 directories\n"), "{tree}");
    assert!(tree.contains("\n    src/  1 file, 2 in total\n"), "{tree}");
    assert!(!tree.contains("downloads"), "{tree}");
    let json: serde_json::Value = serde_json::from_str(&list(&sandbox, &["--format", "json"])).unwrap();
    assert_eq!(json["version"], 1);
    assert_eq!(json["files"].as_array().unwrap().len(), 3);
    assert_eq!(json["roots"][0]["files"], 3);
    assert!(json["watches"]["used"].is_u64());
}

#[test]
fn an_ignored_subtree_is_shown_by_its_top_directory_and_rule() {
    let sandbox = project();
    assert_eq!(
        list(&sandbox, &["--ignored"]),
        "downloads/  .watchignore:1  /downloads/\nsrc/noise.out  .watchignore:2  *.out\n"
    );
    let json = list(&sandbox, &["--ignored", "--format", "json", "-i", "app.*"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["ignored"][0]["path"], "app.py");
    assert_eq!(json["ignored"][0]["rule"]["layer"], "flag");
    assert_eq!(json["ignored"][1]["directory"], true);
}

#[test]
fn control_characters_in_names_are_escaped() {
    let sandbox = Sandbox::new();
    sandbox.write("a\u{1b}[31m\u{202e}b\n.rs", "");
    assert_eq!(list(&sandbox, &["--flat"]), "a\\u{1b}[31m\\u{202e}b\\n.rs\n");
    assert_eq!(list(&sandbox, &["--flat", "-z"]), "a\u{1b}[31m\u{202e}b\n.rs\0");
}

#[test]
fn a_reader_that_closes_its_pipe_is_no_failure() {
    let sandbox = project();
    for args in [&["list", "--flat"][..], &["completions", "zsh"], &["man"], &["--help"]] {
        let mut child =
            sandbox.devrun().args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{args:?}: {output:?}");
    }
}

#[test]
fn the_busiest_path_is_named_with_the_rule_that_would_ignore_it() {
    let sandbox = project();
    let mut running = TestProcess::start(sandbox.devrun().args(["list", "--hot", "1s"]));
    running.wait_for_line("counting events");
    sandbox.write("app.py", "1");
    sandbox.write("downloads/deep/b.zip", "1");
    running.wait_for_line("watched  app.py");
    running.wait_for_line("add this line to .watchignore: /app.py");
    if cfg!(target_os = "linux") {
        assert_eq!(running.count("b.zip"), 0, "an ignored directory has no watch, and no events");
    }
    assert!(running.wait().success());
}

#[test]
fn the_command_line_wins_over_the_environment_over_the_profile_over_the_file() {
    let sandbox = Sandbox::new();
    for extension in ["a", "b", "c", "d"] {
        sandbox.write(format!("file.{extension}"), "");
    }
    sandbox.write("devrun.toml", "[watch]\next = ['a']\n[profile.p.watch]\next = ['b']\n");
    let flat = |args: &[&str], variable: Option<&str>| {
        let mut command = sandbox.devrun();
        command.args(["list", "--flat"]).args(args);
        if let Some(value) = variable {
            command.env("DEVRUN_EXT", value);
        }
        text(command.output().unwrap()).replace("devrun.toml\n", "")
    };
    assert_eq!(flat(&[], None), "file.a\n");
    assert_eq!(flat(&["--profile", "p"], None), "file.b\n");
    assert_eq!(flat(&["--profile", "p"], Some("c")), "file.c\n");
    assert_eq!(flat(&["--profile", "p", "-e", "d"], Some("c")), "file.d\n");
    assert_eq!(flat(&["-e", "a,d"], Some("")), "file.a\nfile.d\n");
}

#[test]
fn a_parent_configuration_means_the_same_in_each_directory_below() {
    let sandbox = Sandbox::new();
    sandbox.git(&["init", "-q"]);
    sandbox.write("devrun.toml", "[watch]\npaths = ['web', 'later']\nignore = ['/web/out']\n");
    sandbox.write("web/index.js", "");
    sandbox.write("web/out/made.js", "");
    sandbox.write("web/sub/out/kept.js", "");
    sandbox.write("web/sub/x.out", "");
    sandbox.write("web/x.out", "");
    let listed = |directory: &str, args: &[&str]| {
        let mut command = sandbox.devrun();
        command.current_dir(sandbox.path(directory)).args(["list", "--flat"]).args(args);
        text(command.output().unwrap()).replace(sandbox.root().to_str().unwrap(), "ROOT")
    };
    assert_eq!(listed(".", &[]), "web/index.js\nweb/sub/out/kept.js\nweb/sub/x.out\nweb/x.out\n");
    assert_eq!(listed("web/sub", &[]), "ROOT/web/index.js\nout/kept.js\nx.out\nROOT/web/x.out\n");
    // A pattern on the command line is relative to the working directory.
    let listed = listed("web/sub", &["-i", "*.out"]);
    assert!(listed.contains("ROOT/web/x.out") && !listed.contains("\nx.out"), "{listed}");
}

#[test]
fn outside_a_repository_a_parent_configuration_does_not_count() {
    let sandbox = Sandbox::new();
    sandbox.write("devrun.toml", "[watch]\next = ['a']\n");
    sandbox.write("below/file.b", "");
    let output =
        sandbox.devrun().current_dir(sandbox.path("below")).args(["list", "--flat"]).output().unwrap();
    assert_eq!(text(output), "file.b\n");
    let named = ["list", "--flat", "--config", "../devrun.toml", "-e", "b"];
    let output = sandbox.devrun().current_dir(sandbox.path("below")).args(named).output().unwrap();
    assert!(text(output).contains("file.b\n"));
}

#[test]
fn a_root_next_to_the_working_directory_has_its_own_rules() {
    let sandbox = Sandbox::new();
    sandbox.write("app/.watchignore", "*.rs\n");
    sandbox.write("app/main.rs", "");
    sandbox.write("lib/.watchignore", "/made/\n");
    sandbox.write("lib/lib.rs", "");
    sandbox.write("lib/made/x.rs", "");
    let in_app = |args: &[&str]| {
        let output = sandbox.devrun().current_dir(sandbox.path("app")).arg("list").args(args).output();
        text(output.unwrap()).replace(sandbox.root().to_str().unwrap(), "ROOT")
    };
    assert_eq!(in_app(&["--flat", "-w", "../lib"]), "ROOT/lib/lib.rs\n");
    assert!(in_app(&["--ignored", "-w", "../lib"]).starts_with("ROOT/lib/made/  ROOT/lib/.watchignore:1"));
    assert!(in_app(&["-w", "../lib", "-m", "stat"]).starts_with("ROOT/lib  stat (as configured): 1 file"));
}
