//! Signals to devrun, alone or with its process group, in each phase: devrun ends by the signal and leaves no
//! process.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::support::http::free_address;
use crate::support::sandbox::{Sandbox, at_once, example, lives, wait_for, wait_until};

const SIGNALS: [i32; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

/// The phases of devrun in which the signal arrives: name, options, steps of the child.
const MOMENTS: [(&str, &[&str], &str); 4] = [
    ("starting", &["--proxy", "127.0.0.1:0", "--ready-timeout", "10m"], "log {}/log up sleep"),
    ("building", &["--build", "CHILD log {}/log up sleep"], "log {}/log child sleep"),
    ("stopping", &["--stop-timeout", "400ms"], "ignore 15 log {}/log up sleep"),
    ("waiting", &[], "log {}/log up exit 1"),
];

/// Starts devrun as the leader of a new process group.
fn start(sandbox: &Sandbox, options: &[&str], steps: &str) -> Child {
    let outside = sandbox.outside();
    let helper = example("child");
    let fill =
        |word: &str| word.replace("{}", outside.to_str().unwrap()).replace("CHILD", helper.to_str().unwrap());
    let mut command = sandbox.command(&helper);
    // devrun inherits the signals that the test runner ignores, so they are set to their defaults.
    command.args("default 1 default 2 default 3 exec".split(' ')).arg(env!("CARGO_BIN_EXE_devrun"));
    command.args(options.iter().map(|word| fill(word))).arg("--").arg(&helper);
    command.args(steps.split(' ').map(fill));
    quiet(&mut command).process_group(0).spawn().unwrap()
}

fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

fn logged(sandbox: &Sandbox, word: &str) -> Vec<i32> {
    let log = std::fs::read_to_string(sandbox.outside().join("log")).unwrap_or_default();
    let lines = log.lines().filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
    lines.filter_map(|rest| rest.split(' ').next()?.parse().ok()).collect()
}

fn up(sandbox: &Sandbox) -> Vec<i32> {
    wait_for("something is up", || {
        let up = logged(sandbox, "up");
        (!up.is_empty()).then_some(up)
    })
}

fn kill(pid: i32, signal: i32) {
    let pid = rustix::process::Pid::from_raw(pid.abs()).map(|one| (one, pid < 0)).unwrap();
    let signal = rustix::process::Signal::from_named_raw(signal).unwrap();
    match pid {
        (group, true) => rustix::process::kill_process_group(group, signal).unwrap(),
        (one, false) => rustix::process::kill_process(one, signal).unwrap(),
    }
}

fn ended(devrun: &mut Child) -> ExitStatus {
    wait_for("devrun ends", || devrun.try_wait().unwrap())
}

#[test]
fn each_signal_ends_devrun_in_each_phase_and_leaves_no_process() {
    at_once(MOMENTS, |(moment, options, steps)| {
        for signal in SIGNALS {
            for whole_group in [false, true] {
                let sandbox = Sandbox::new();
                let mut devrun = start(&sandbox, options, steps);
                let pid = devrun.id() as i32;
                let first = up(&sandbox);
                if moment == "stopping" {
                    sandbox.write("app.py", "");
                    // devrun stops the server as soon as it sees the change. The signal arrives at about that
                    // time.
                    std::thread::sleep(std::time::Duration::from_millis(60));
                }
                kill(if whole_group { -pid } else { pid }, signal);
                let status = ended(&mut devrun);
                assert_eq!(status.signal(), Some(signal), "{moment}, group: {whole_group}: {status:?}");
                let all = [first, logged(&sandbox, "up"), logged(&sandbox, "child")].concat();
                assert!(all.iter().all(|pid| !lives(*pid)), "{moment}, signal {signal}");
            }
        }
    });
}

#[test]
fn a_signal_while_a_response_is_in_flight_ends_devrun() {
    use std::io::{Read, Write};
    let sandbox = Sandbox::new();
    let address = free_address().to_string();
    let mut devrun = start(&sandbox, &["--proxy", &address], "log {}/log up serve");
    let up = up(&sandbox);
    let mut client = wait_for("devrun listens", || std::net::TcpStream::connect(&address).ok());
    write!(client, "GET /slow/1000/50 HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    client.read_exact(&mut [0; 9]).unwrap();
    sandbox.write("app.py", "");
    wait_until("the next generation has started", || logged(&sandbox, "up").len() == 2);
    kill(devrun.id() as i32, libc::SIGTERM);
    assert_eq!(ended(&mut devrun).signal(), Some(libc::SIGTERM));
    assert!([up, logged(&sandbox, "up")].concat().iter().all(|pid| !lives(*pid)));
}

#[test]
fn a_key_press_that_arrives_as_two_signals_counts_once() {
    let sandbox = Sandbox::new();
    let mut devrun = start(&sandbox, &["--stop-timeout", "10m"], "on 15 {}/log gentle log {}/log up sleep");
    up(&sandbox);
    // `npm run` and similar programs pass on a signal that the terminal has sent already. A stopped devrun
    // gets both signals at once, on a busy machine too.
    for signal in [libc::SIGSTOP, libc::SIGINT, libc::SIGTERM, libc::SIGCONT] {
        kill(devrun.id() as i32, signal);
    }
    wait_until("the server gets the first signal", || logged(&sandbox, "gentle").len() == 1);
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert!(devrun.try_wait().unwrap().is_none(), "devrun was killed");
    kill(devrun.id() as i32, libc::SIGINT);
    // devrun ends by the signal that it received first, which may be either of them.
    assert!(matches!(ended(&mut devrun).signal(), Some(libc::SIGINT | libc::SIGTERM)));
    assert!(logged(&sandbox, "up").iter().all(|pid| !lives(*pid)));
}

/// `env --block-signal` is that of GNU coreutils.
#[cfg(target_os = "linux")]
#[test]
fn started_with_blocked_signals_it_ends_by_them() {
    at_once([libc::SIGINT, libc::SIGTERM], |signal| {
        let sandbox = Sandbox::new();
        let log = sandbox.outside().join("log");
        let mut command = sandbox.command("env");
        command.arg("--block-signal").arg(env!("CARGO_BIN_EXE_devrun")).arg("--").arg(example("child"));
        command.args(["log", log.to_str().unwrap(), "up", "sleep"]);
        let mut devrun = quiet(&mut command).process_group(0).spawn().unwrap();
        up(&sandbox);
        kill(devrun.id() as i32, signal);
        assert_eq!(ended(&mut devrun).signal(), Some(signal));
    });
}

#[test]
fn under_nohup_a_hangup_is_ignored_by_the_whole_tree() {
    let sandbox = Sandbox::new();
    let outside = sandbox.outside();
    let mut command = sandbox.command("nohup");
    command.arg(env!("CARGO_BIN_EXE_devrun")).arg("--").arg(example("child"));
    command.args(["log", outside.join("log").to_str().unwrap(), "up", "sleep"]);
    let mut devrun = quiet(&mut command).process_group(0).spawn().unwrap();
    let pid = up(&sandbox)[0];
    kill(-(devrun.id() as i32), libc::SIGHUP);
    kill(pid, libc::SIGHUP);
    sandbox.write("app.py", "");
    wait_until("devrun goes on", || logged(&sandbox, "up").len() == 2);
    kill(devrun.id() as i32, libc::SIGTERM);
    assert_eq!(ended(&mut devrun).signal(), Some(libc::SIGTERM));
}

#[test]
fn an_interrupt_ends_devrun_in_the_background_of_a_script() {
    let sandbox = Sandbox::new();
    let log = sandbox.outside().join("log");
    // A shell without job control ignores SIGINT and SIGQUIT in a program that it starts with `&`.
    let script =
        "\"$0\" -- \"$1\" log \"$2\" up sleep & echo $! >\"$2.pid\"; wait $!; echo $? >\"$2.status\"";
    let mut command = sandbox.command("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_devrun")]).arg(example("child")).arg(&log);
    let mut shell = quiet(&mut command).process_group(0).spawn().unwrap();
    let up = up(&sandbox);
    let devrun: i32 = std::fs::read_to_string(log.with_extension("pid")).unwrap().trim().parse().unwrap();
    kill(devrun, libc::SIGINT);
    wait_for("the script ends", || shell.try_wait().unwrap());
    assert_eq!(std::fs::read_to_string(log.with_extension("status")).unwrap(), "130\n");
    assert!(up.iter().all(|pid| !lives(*pid)));
}

#[test]
fn the_exit_status_is_that_of_the_child_or_of_the_signal() {
    let status = |steps: &str| {
        let sandbox = Sandbox::new();
        ended(&mut start(&sandbox, &["--on-exit", "quit"], steps))
    };
    assert_eq!(status("exit 0").code(), Some(0));
    assert_eq!(status("exit 42").code(), Some(42));
    for signal in [libc::SIGSEGV, libc::SIGKILL, libc::SIGTERM, libc::SIGABRT] {
        assert_eq!(status(&format!("die {signal}")).signal(), Some(signal));
    }
}
