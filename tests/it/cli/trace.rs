//! `-vv` and DEVRUN_LOG explain each restart and each ignored change. Without them, devrun prints no such
//! line.

use crate::support::process::TestProcess;
use crate::support::sandbox::Sandbox;

/// A run of `sleep` that has started.
fn started(sandbox: &Sandbox, options: &[&str], log: Option<&str>) -> TestProcess {
    let mut devrun = sandbox.devrun();
    devrun.args(options).args(["--", "sleep", "1000"]).envs(log.map(|log| ("DEVRUN_LOG", log)));
    let running = TestProcess::start(&mut devrun);
    running.wait_for_line("started");
    running
}

fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write(".watchignore", "*.out\n");
    sandbox.write("src/app.py", "one");
    sandbox
}

#[test]
fn each_event_is_traced_to_its_result() {
    let sandbox = project();
    let mut running = started(&sandbox, &["-vv", "-m", "event", "-e", "py,log"], None);
    for (path, content, why) in [
        ("src/trace.out", "", ".watchignore:1 *.out"),
        ("src/notes.txt", "", "no extension or filter matches"),
        ("src/app.py", "one", "same content as before"),
    ] {
        sandbox.write(path, content);
        let line = running.wait_for_line(why);
        assert!(line.contains("no change") && line.contains(path), "{line}");
    }
    sandbox.write("src/app.py", "two");
    running.wait_for_line("input input=Changed(");
    running.wait_for_line("action action=Spawn { generation: GenerationId(2)");
    running.wait_for_line("input input=Spawned { generation: GenerationId(2)");
    running.stop();
    assert!(running.lines().iter().any(|line| line.contains("watches placed directories=2")));
    assert!(!running.lines().iter().any(|line| line.contains(" TRACE ") || line.contains('\u{1b}')));
}

#[test]
fn only_the_requested_lines_are_shown() {
    let sandbox = project();
    let inner = |running: &mut TestProcess| {
        sandbox.write("src/app.py", "two");
        running.wait_for_line("started in");
        sandbox.write("src/app.py", "one");
        running.wait_for_count("started in", 2);
        running.stop();
        let lines = running.lines();
        ["devrun::watch", "devrun::supervise"].map(|room| lines.iter().any(|line| line.contains(room)))
    };
    assert_eq!(inner(&mut started(&sandbox, &["-v"], None)), [false, false]);
    assert_eq!(inner(&mut started(&sandbox, &[], Some("devrun::watch=debug"))), [true, false]);
    assert_eq!(inner(&mut started(&sandbox, &["-vvv"], Some("off"))), [false, false]);
}

#[test]
fn trace_lines_in_a_json_log_are_json_without_a_version() {
    let sandbox = project();
    let mut running = started(&sandbox, &["-vv", "--log-format", "json"], None);
    running.stop();
    let lines: Vec<serde_json::Value> =
        running.lines().iter().map(|line| serde_json::from_str(line).expect(line)).collect();
    let inner: Vec<_> = lines.iter().filter(|line| line.get("v").is_none()).collect();
    assert!(
        inner
            .iter()
            .any(|line| line["target"] == "devrun::supervise::supervisor" && line["level"] == "DEBUG")
    );
    assert!(inner.len() < lines.len());
}

#[test]
fn an_edit_of_devrun_toml_turns_the_trace_on_and_off() {
    let sandbox = project();
    let set = |verbose: u8| sandbox.write("devrun.toml", format!("[output]\nverbose = {verbose}\n"));
    set(0);
    let mut running = started(&sandbox, &["-m", "event"], None);
    set(2);
    running.wait_for_count("devrun.toml changed: in effect", 1);
    sandbox.write("src/trace.out", "");
    running.wait_for_line("no change");
    set(0);
    running.wait_for_count("devrun.toml changed: in effect", 2);
    let before = running.count("DEBUG");
    sandbox.write("src/app.py", "two");
    running.wait_for_line("started in");
    assert_eq!(running.count("DEBUG"), before);
    running.stop();
}

#[test]
fn an_invalid_filter_is_an_error() {
    let sandbox = project();
    let output = sandbox.devrun().arg("list").env("DEVRUN_LOG", "devrun=loud").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(said.starts_with("error: the variable DEVRUN_LOG is not a valid filter: "), "{said}");
}
