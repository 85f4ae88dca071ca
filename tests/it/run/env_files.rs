//! Environment files: COMMAND gets their variables, and devrun reports a defect before it stops the running
//! server.

use crate::support::process::TestProcess;
use crate::support::sandbox::{Sandbox, example, wait_until};

/// Writes COMMAND's environment to the file `got` as `KEY=VALUE` lines.
const PRINT: &str = "env > got.part; mv got.part got; exec sleep 1000";

fn got(sandbox: &Sandbox, line: &str) -> bool {
    let text = std::fs::read_to_string(sandbox.path("got")).unwrap_or_default();
    format!("\n{text}").contains(&format!("\n{line}\n"))
}

#[test]
fn the_command_gets_the_variables_of_the_files() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "one.env",
        "\u{feff}# of the team\r\nexport NAME=\"two words\" # told\r\nKEY='-----BEGIN\r\nabc\r\nEND-----'\r\n\
         PORT_A=1\r\nPORT_A=2\r\nURL=http://localhost:${PORT_A}/$NAME#x\r\nRAW='$NAME'\r\nWHO=one\r\n",
    );
    sandbox.write("two.env", "WHO=two\nWAS=${WHO}-${OUTER:-none}\nTYPED=file\n");
    let mut command = sandbox.devrun();
    command.env("OUTER", "outer").env("WHO", "caller");
    command.args(["--env-file", "one.env", "--env-file", "two.env", "--env", "TYPED=typed"]);
    command.args(["--", "sh", "-c", PRINT]);
    let _run = TestProcess::start(&mut command);
    wait_until("COMMAND has started", || sandbox.path("got").exists());
    for line in [
        "NAME=two words",
        "KEY=-----BEGIN\nabc\nEND-----",
        "PORT_A=2",
        "URL=http://localhost:2/two words#x",
        "RAW=$NAME",
        "WHO=two",
        "WAS=two-outer",
        "TYPED=typed",
    ] {
        assert!(got(&sandbox, line), "{line}: {}", std::fs::read_to_string(sandbox.path("got")).unwrap());
    }
}

/// A password with a `$` loses its end, because that is no error. Each such variable is named once.
#[test]
fn a_variable_that_is_not_set_is_named_once() {
    let sandbox = Sandbox::new();
    sandbox.write(".env", "A=1\nB=pa$$word\nC=$word$HOME${OTHER}${NONE-}\n");
    sandbox.write(".watchignore", "got*\n");
    let mut command = sandbox.devrun();
    command.args(["--env-file", ".env", "--", "sh", "-c", PRINT]);
    let run = TestProcess::start(&mut command);
    run.wait_for_line(".env:2: the variable word is not set and expands to nothing");
    run.wait_for_line("write \\$ for a literal $, or ${word-} to allow an unset variable");
    run.wait_for_line(".env:3: the variable OTHER is not set");
    wait_until("COMMAND has started", || got(&sandbox, "B=pa$"));
    sandbox.write(".env", "B=pa$$word\nC=$NEW\n");
    run.wait_for_line(".env:2: the variable NEW is not set");
    assert_eq!(run.count("is not set"), 3, "{:#?}", run.lines());
}

#[test]
fn an_environment_file_is_a_link_into_a_directory_that_is_swapped() {
    for mode in ["event", "stat"] {
        let sandbox = Sandbox::new();
        let conf = sandbox.outside().join("conf");
        let version = |number: usize| {
            let dir = conf.join(format!("..{number}"));
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(dir.join("env"), format!("WHO={number}\n")).unwrap();
            std::os::unix::fs::symlink(&dir, conf.join("next")).unwrap();
            std::fs::rename(conf.join("next"), conf.join("..data")).unwrap();
        };
        version(1);
        std::os::unix::fs::symlink(conf.join("..data/env"), sandbox.path(".env")).unwrap();
        let mut command = sandbox.devrun();
        command.args(["-m", mode, "--env-file", ".env", "-i", "got*", "--", "sh", "-c", PRINT]);
        let run = TestProcess::start(&mut command);
        wait_until("COMMAND has started", || got(&sandbox, "WHO=1"));
        version(2);
        wait_until("COMMAND has the new version", || got(&sandbox, "WHO=2"));
        std::fs::write(sandbox.path(".env"), "WHO=3\n").unwrap();
        wait_until("COMMAND has what was written through the link", || got(&sandbox, "WHO=3"));
        run.wait_for_count(".env changed", 2);
        assert_eq!(run.count(".env changed"), 2, "{:#?}", run.lines());
    }
}

#[test]
fn a_bad_environment_file_stops_the_launch() {
    let sandbox = Sandbox::new();
    sandbox.write(".env", "GOOD=1\n\nthis is bad\n");
    let output = sandbox.devrun().args(["--env-file", ".env", "--", "touch", "ran"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    for part in [".env:3", "this is bad", "not a variable", "write KEY=VALUE"] {
        assert!(told.contains(part), "no {part:?} in {told}");
    }
    sandbox.write("devrun.toml", "[run]\nenv-file = 'gone.env'\n");
    let output = sandbox.devrun().args(["--", "touch", "ran"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("gone.env") && told.contains("create it"), "{told}");
    assert!(!sandbox.path("ran").exists());
}

#[test]
fn a_file_that_becomes_bad_keeps_the_old_generation_until_it_is_corrected() {
    for proxy in [false, true] {
        let sandbox = Sandbox::new();
        sandbox.write(".env", "WHO=one\n");
        let mut command = sandbox.devrun();
        command.args(["--env-file", ".env"]).args(proxy.then_some("--proxy=127.0.0.1:0"));
        let server = example("child").to_str().unwrap().to_owned();
        sandbox.write(".watchignore", "log\n");
        let line = format!("echo up $WHO $$ >> log; exec {server} {}", if proxy { "serve" } else { "sleep" });
        command.args(["--", "sh", "-c", &line]);
        let run = TestProcess::start(&mut command);
        let log = || std::fs::read_to_string(sandbox.path("log")).unwrap_or_default();
        wait_until("COMMAND has started", || log().contains("up one"));
        if proxy {
            run.wait_for_line("ready in");
        }
        sandbox.write(".env", "WHO=two\nWHO='open\n");
        let told = run.wait_for_line(".env:2");
        for part in ["not closed", "WHO='open", "close it", "generation 1 goes on serving"] {
            assert!(told.contains(part), "no {part:?} in {told}");
        }
        std::fs::remove_file(sandbox.path(".env")).unwrap();
        run.wait_for_line("cannot be read");
        let pid = log().split_whitespace().nth(2).unwrap().parse().unwrap();
        assert!(crate::support::sandbox::lives(pid), "the old generation goes on: {:#?}", run.lines());
        sandbox.write(".env", "WHO=three\n");
        wait_until("the corrected file takes effect", || log().contains("up three"));
        assert!(!log().contains("two"), "{}", log());
    }
}
