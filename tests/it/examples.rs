//! The programs of `examples/` for embedders: each module alone and all of them together, run to their end.

use crate::support::process::TestProcess;
use crate::support::sandbox::{Sandbox, example, wait_until};

#[test]
fn the_rules_alone_name_the_deciding_line() {
    let sandbox = Sandbox::new();
    sandbox.write(".watchignore", "# saved by the server\n/downloads/\n");
    let output =
        sandbox.command(example("rules_only")).args(["downloads/a.zip", "src/app.py"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        ["downloads/a.zip: ignored, by \"/downloads/\" (watchignore, line 2)", "src/app.py: watched"]
    );
}

#[test]
fn the_watch_alone_reports_changes() {
    let sandbox = Sandbox::new();
    sandbox.write(".watchignore", "/downloads/\n");
    sandbox.write("app.py", "one");
    let running = TestProcess::start(&mut sandbox.command(example("watch_only")));
    running.wait_for_line("watching ");
    sandbox.write("downloads/a.zip", "no source");
    sandbox.write("app.py", "two");
    running.wait_for_line("app.py changed");
    assert_eq!(running.count("a.zip"), 0);
}

#[test]
fn the_supervisor_alone_restarts_and_stops() {
    let sandbox = Sandbox::new();
    let mut running = TestProcess::start(&mut sandbox.command(example("supervise_only")));
    assert_eq!(running.wait().code(), Some(0));
    running.wait_for_line("generation 2: Stopped");
    running.wait_for_line("ended: Asked");
    assert_eq!(running.count("Ready"), 2);
}

#[cfg(feature = "proxy")]
#[test]
fn the_proxy_alone_holds_a_request_until_a_server_is_ready() {
    let sandbox = Sandbox::new();
    let mut running = TestProcess::start(&mut sandbox.command(example("proxy_only")));
    assert_eq!(running.wait().code(), Some(0));
    running.wait_for_line("answered: hello");
}

#[test]
fn a_session_runs_in_a_program_without_async_code() {
    use std::io::Write as _;
    use std::process::Stdio;

    let sandbox = Sandbox::new();
    let mut command = sandbox.command(example("blocking"));
    let log = sandbox.outside().join("starts");
    command.args(["sh", "-c", "echo started >> \"$0\"; exec sleep 1000"]).arg(&log);
    let mut running = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let starts = || std::fs::read_to_string(&log).unwrap_or_default().lines().count();
    wait_until("the command runs", || starts() == 1);
    let mut input = running.stdin.take().unwrap();
    input.write_all(b"\n").unwrap();
    wait_until("Enter restarts the command", || starts() == 2);
    drop(input);
    let output = running.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().ends_with("Ended(Asked)\n"));
}

#[test]
fn a_whole_session_is_embedded() {
    let sandbox = Sandbox::new();
    sandbox.write("src/app.sh", "one");
    let mut command = sandbox.command(example("embed"));
    let mut running = TestProcess::start(command.args(["sleep", "1000"]));
    running.wait_for_line("1: Ready");
    sandbox.write("src/app.sh", "two");
    running.wait_for_line("2: Ready");
    assert_eq!(running.count("app.sh changed"), 1);
    running.signal(2);
    assert_eq!(running.wait().code(), Some(0));
    running.wait_for_line("ended: Asked");
}
