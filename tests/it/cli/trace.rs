//! Why something did or did not restart is told to those who look into the inner workings, and to nobody else.

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
    sandbox.write(".watchignore", "*.log\n");
    sandbox.write("src/app.py", "one");
    sandbox
}

#[test]
fn every_event_is_followed_to_its_end() {
    let sandbox = project();
    let mut running = started(&sandbox, &["-vv", "-m", "event", "-e", "py,log"], None);
    for (path, content, why) in [
        ("src/trace.log", "", ".watchignore:1 *.log"),
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
fn only_what_is_asked_for_is_shown() {
    let sandbox = project();
    let inner = |running: &mut TestProcess| {
        sandbox.write("src/app.py", "two");
        running.wait_for_line("restarted in");
        sandbox.write("src/app.py", "one");
        running.wait_for_count("restarted in", 2);
        running.stop();
        let lines = running.lines();
        ["devrun::watch", "devrun::supervise"].map(|room| lines.iter().any(|line| line.contains(room)))
    };
    assert_eq!(inner(&mut started(&sandbox, &["-v"], None)), [false, false]);
    assert_eq!(inner(&mut started(&sandbox, &[], Some("devrun::watch=debug"))), [true, false]);
    assert_eq!(inner(&mut started(&sandbox, &["-vvv"], Some("off"))), [false, false]);
}

#[test]
fn in_a_json_log_they_are_json_without_a_version() {
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
fn an_edit_of_the_file_begins_and_ends_it() {
    let sandbox = project();
    let set = |verbose: u8| sandbox.write("devrun.toml", format!("[output]\nverbose = {verbose}\n"));
    set(0);
    let mut running = started(&sandbox, &["-m", "event"], None);
    set(2);
    running.wait_for_count("devrun.toml changed: in effect", 1);
    sandbox.write("src/trace.log", "");
    running.wait_for_line("no change");
    set(0);
    running.wait_for_count("devrun.toml changed: in effect", 2);
    let before = running.count("DEBUG");
    sandbox.write("src/app.py", "two");
    running.wait_for_line("restarted in");
    assert_eq!(running.count("DEBUG"), before);
    running.stop();
}

#[test]
fn a_filter_that_is_none_is_an_error() {
    let sandbox = project();
    let output = sandbox.devrun().arg("list").env("DEVRUN_LOG", "devrun=loud").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(said.starts_with("error: the variable DEVRUN_LOG is not a valid filter: "), "{said}");
}
