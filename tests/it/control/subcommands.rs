//! The subcommands that ask and steer a running devrun, in real processes.

use std::io::Write as _;
use std::process::Output;

use serde_json::Value;

use crate::support::process::TestProcess;
use crate::support::sandbox::{Sandbox, python, wait_for, wait_until};

/// A project whose COMMAND fails if `app.txt` says so.
const CHECKED: &str =
    "grep -q bad app.txt && { echo SyntaxError: bad >&2; exit 3; }; echo serving; exec sleep 1000";

/// Runs devrun with these words. Returns its status, and both streams as one text.
fn devrun(sandbox: &Sandbox, words: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = sandbox.devrun().args(words).output().unwrap();
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

fn json(sandbox: &Sandbox, words: &[&str]) -> Value {
    let (_, text) = devrun(sandbox, words);
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))
}

fn start(sandbox: &Sandbox, options: &[&str], line: &str) -> TestProcess {
    sandbox.write("app.txt", "good");
    let process = TestProcess::start(sandbox.devrun_without_loops(options).args(["--", "sh", "-c", line]));
    wait_until("it answers", || devrun(sandbox, &["ps"]).0 == Some(0));
    process
}

#[test]
fn without_a_running_devrun_each_subcommand_says_how_to_start_one() {
    let sandbox = Sandbox::new();
    for verb in ["ps", "logs", "why", "wait", "restart", "stop", "start", "pause", "resume", "attach", "down"]
    {
        let (status, text) = devrun(&sandbox, &[verb]);
        assert_eq!(status, Some(2), "{verb}: {text}");
        let expected = format!("error: no devrun runs in {}\n", sandbox.root().display());
        assert!(text.starts_with(&expected) && text.contains("devrun -- COMMAND"), "{verb}: {text}");
    }
    // Devruns of other projects may run.
    assert_eq!(devrun(&sandbox, &["ps", "--all"]).0, Some(0));
}

#[test]
fn an_edit_a_failure_and_its_end_are_seen_from_outside() {
    let sandbox = Sandbox::new();
    let mut process = start(&sandbox, &[], CHECKED);
    let (status, text) = devrun(&sandbox, &["wait", "--timeout", "100s"]);
    assert!(status == Some(0) && text.starts_with("sh is ready (generation 1), after "), "{text}");
    sandbox.write("app.txt", "bad");
    wait_until("the failure is known", || devrun(&sandbox, &["wait"]).0 == Some(1));
    let (_, text) = devrun(&sandbox, &["wait"]);
    assert_eq!(text, "sh has ended (generation 2): exited with status 3\n  SyntaxError: bad\n");
    let (_, text) = devrun(&sandbox, &["ps"]);
    assert!(text.contains("exited (gen 2)") && text.contains("SyntaxError: bad"), "{text}");
    sandbox.write("app.txt", "good again");
    let waited = json(&sandbox, &["wait", "--json"]);
    assert_eq!((&waited["outcome"], &waited["services"][0]["generation"]), (&"ready".into(), &3.into()));
    let (_, text) = devrun(&sandbox, &["why"]);
    for part in [
        "generation 2, 1 changed file: was ready, and has ended",
        "exited with status 3",
        "    SyntaxError: bad",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(text.contains("app.txt changed: its content differs, and no rule ignores it"), "{text}");
    // Below the project, and by name.
    std::fs::create_dir(sandbox.path("deep")).unwrap();
    let (_, text) = devrun(&sandbox, &["logs", "-C", "deep", "sh", "--grep", "^ser"]);
    wait_until("the third one serves", || devrun(&sandbox, &["logs"]).1.matches("serving").count() == 2);
    assert!(text.starts_with("serving\n"), "{text}");
    let (status, text) = devrun(&sandbox, &["logs", "db"]);
    assert!(
        status == Some(2) && text.contains("no devrun or service of this project is called db"),
        "{text}"
    );
    let (status, text) = devrun(&sandbox, &["down"]);
    assert_eq!((status, &*text), (Some(0), "sh has ended\n"));
    assert_eq!(process.wait().code(), Some(0));
    assert_eq!(devrun(&sandbox, &["ps"]).0, Some(2));
}

#[test]
fn stop_start_pause_and_resume_are_printed_by_the_running_devrun_too() {
    let sandbox = Sandbox::new();
    let process = start(&sandbox, &[], CHECKED);
    let say = |words: &[&str]| devrun(&sandbox, words).1;
    assert_eq!(say(&["stop"]), "sh is stopped until `devrun start`\n");
    process.wait_for_line("devrun: stopped on request");
    assert_eq!(
        devrun(&sandbox, &["wait"]),
        (Some(1), "sh is stopped: `devrun start` starts it\n".to_owned())
    );
    assert_eq!(say(&["start"]), "sh runs, or starts now; `devrun wait` waits for it\n");
    assert_eq!(devrun(&sandbox, &["wait"]).0, Some(0));
    assert_eq!(say(&["pause"]), "sh is paused until `devrun resume`\n");
    process.wait_for_line("devrun: paused");
    sandbox.write("app.txt", "good too");
    let paused = "sh is paused: the changes wait for `devrun resume`\n".to_owned();
    assert_eq!(devrun(&sandbox, &["wait"]), (Some(1), paused));
    assert_eq!(say(&["resume"]), "sh is resumed\n");
    process.wait_for_line("devrun: resumed");
    assert_eq!(devrun(&sandbox, &["wait"]).0, Some(0));
    assert_eq!(say(&["restart", "--json"]), "{\"services\":[\"sh\"],\"version\":1}\n");
    assert_eq!(json(&sandbox, &["wait", "--json"])["services"][0]["generation"], 4);
}

#[test]
fn two_devruns_of_a_project_have_two_names() {
    let sandbox = Sandbox::new();
    sandbox.write("devrun.toml", "[profile.worker.run]\ncommand = [\"sleep\", \"1000\"]\n");
    let web = start(&sandbox, &[], CHECKED);
    let mut second = TestProcess::start(sandbox.devrun().args(["--", "sh", "-c", "exec sleep 1000"]));
    let mut worker = TestProcess::start(sandbox.devrun().args(["--profile", "worker"]));
    let names = || {
        let instances = json(&sandbox, &["ps", "--json"])["instances"].as_array().unwrap().clone();
        let mut names: Vec<_> =
            instances.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    wait_until("all three answer", || names() == ["sh", "sh-2", "worker"]);
    let (status, text) = devrun(&sandbox, &["restart"]);
    assert!(status == Some(2) && text.contains("name one of them: sh, sh-2, worker"), "{text}");
    assert_eq!(devrun(&sandbox, &["down", "worker"]).1, "worker has ended\n");
    worker.wait();
    assert_eq!(devrun(&sandbox, &["down", "sh-2"]).0, Some(0));
    second.wait();
    assert_eq!(names(), ["sh"]);
    drop(web);
}

#[test]
fn a_killed_devrun_leaves_nothing_in_the_way_of_the_next() {
    let sandbox = Sandbox::new();
    let mut first = start(&sandbox, &[], CHECKED);
    first.signal(9);
    first.wait();
    assert_eq!(devrun(&sandbox, &["ps"]).0, Some(2));
    let second = start(&sandbox, &[], CHECKED);
    assert_eq!(json(&sandbox, &["ps", "--json"])["instances"][0]["name"], "sh");
    drop(second);
}

#[test]
fn no_control_opens_no_socket_and_a_read_only_system_only_has_none() {
    let sandbox = Sandbox::new();
    sandbox.write("app.txt", "good");
    let process = TestProcess::start(sandbox.devrun().args(["--no-control", "--", "sh", "-c", CHECKED]));
    process.wait_for_line("serving");
    assert_eq!(devrun(&sandbox, &["ps"]).0, Some(2));
    // No directory for sockets can be made.
    let missing = sandbox.path("missing");
    let mut command = sandbox.devrun();
    command.env("XDG_RUNTIME_DIR", &missing).env("TMPDIR", &missing).args(["-vv", "--", "sh", "-c", CHECKED]);
    let process = TestProcess::start(&mut command);
    process.wait_for_line("serving");
}

#[test]
fn the_address_of_a_free_port_is_in_ps() {
    let sandbox = Sandbox::new();
    let _process = start(&sandbox, &["--proxy", "0"], "exec sleep 1000");
    let address = wait_for("it listens", || {
        let status = json(&sandbox, &["ps", "--json"]);
        Some(status["instances"][0]["services"][0]["addresses"][0].as_str()?.to_owned())
    });
    let port: u16 = address.strip_prefix("http://127.0.0.1:").unwrap().parse().unwrap();
    assert_ne!(port, 0);
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
}

#[test]
fn a_follower_ends_with_its_reader() {
    let sandbox = Sandbox::new();
    let _process = start(&sandbox, &[], "while echo line; do sleep 0.1; done");
    let script = format!("{} logs -f | head -n 2", env!("CARGO_BIN_EXE_devrun"));
    let output = sandbox.command("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "line\nline\n");
}

#[test]
fn a_suspended_devrun_is_named_instead_of_waited_for() {
    let sandbox = Sandbox::new();
    let process = start(&sandbox, &[], CHECKED);
    process.signal(19);
    let (status, text) = devrun(&sandbox, &["ps"]);
    assert!(status == Some(2) && text.contains("the devrun sh does not answer"), "{text}");
    process.signal(18);
    wait_until("it answers again", || devrun(&sandbox, &["ps"]).0 == Some(0));
}

#[test]
fn a_script_types_into_command() {
    let sandbox = Sandbox::new();
    let _process = start(&sandbox, &[], "while read word; do echo got $word; done");
    let script = format!("printf 'one\\ntwo\\n' | {} attach", env!("CARGO_BIN_EXE_devrun"));
    let output = sandbox.command("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "got one\ngot two\n");
}

#[test]
fn a_reader_that_takes_nothing_does_not_delay_others() {
    let sandbox = Sandbox::new();
    let _process = start(&sandbox, &[], "yes | head -c 3000000; exec sleep 1000");
    let sockets = sandbox.outside().join("home/devrun");
    let mut sockets = std::fs::read_dir(sockets).unwrap().map(|entry| entry.unwrap().path());
    let socket = sockets.find(|path| path.extension().is_some_and(|extension| extension == "sock")).unwrap();
    let mut slow = std::os::unix::net::UnixStream::connect(socket).unwrap();
    slow.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"logs\",\"params\":{\"follow\":true}}\n")
        .unwrap();
    for number in 0..20 {
        sandbox.write("app.txt", number.to_string());
        assert_eq!(devrun(&sandbox, &["wait"]).0, Some(0));
    }
}

/// The program of the script: the page says what the file says.
const FLASK: &str = "import flask\napp = flask.Flask(__name__)\n@app.get('/')\ndef page(): return 'one'\n";
const NODE: &str =
    "require('http').createServer((_, answer) => answer.end('one')).listen(process.env.PORT)\n";

/// What an agent or an editor does: edit, wait, see the error, mend it, ask why.
fn agent_session(file: &str, program: &str, command: &[&str], broken: &str) {
    let sandbox = Sandbox::new();
    sandbox.write(file, program);
    let mut devrun = sandbox.devrun_without_loops(&["--proxy", "0", "--"]);
    let process = TestProcess::start(devrun.args(command));
    process.wait_for_line("listening on");
    let script = sandbox.write("../session.sh", AGENT);
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_devrun")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut session = sandbox.command("sh");
    let output = session.arg(script).args([file, broken]).env("PATH", path).output().unwrap();
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.ends_with("all seen\n"), "{text}\n{errors}");
}

const AGENT: &str = r#"set -eu
file=$1 broken=$2
devrun wait --timeout 100s
url=$(devrun ps --json | sed 's/.*"addresses":\["\([^"]*\)".*/\1/')
[ "$(curl -s "$url")" = one ]
sed -i s/one/two/ "$file"
devrun wait --timeout 100s
[ "$(curl -s "$url")" = two ]
printf '%s\n' "$broken" >> "$file"
if devrun wait --timeout 100s; then echo "the error was not seen"; exit 1; fi
devrun wait | grep SyntaxError
devrun ps | grep SyntaxError
[ "$(curl -s "$url")" = two ]
sed -i '$d' "$file"
sed -i s/two/three/ "$file"
devrun wait --timeout 100s
[ "$(curl -s "$url")" = three ]
devrun why > ../why
grep -q SyntaxError ../why
grep -q 'generation 4, 1 changed file' ../why
devrun logs --grep SyntaxError | grep -q SyntaxError
devrun down
if devrun ps; then exit 1; fi
echo all seen
"#;

#[test]
#[ignore = "needs Python with Flask, and curl"]
fn an_agent_edits_a_flask_server() {
    let python = python().display().to_string();
    let command = [&python, "-m", "flask", "--app", "app", "run", "--port", "{port}"];
    agent_session("app.py", FLASK, &command, "def broken(:");
}

#[test]
#[ignore = "needs node, and curl"]
fn an_agent_edits_a_node_server() {
    agent_session("server.js", NODE, &["node", "server.js"], "function broken( {");
}
