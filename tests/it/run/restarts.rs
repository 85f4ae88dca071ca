//! `devrun -- COMMAND`: the changes that restart and those that don't, exit statuses, messages, and no
//! process left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;

use crate::support::process::TestProcess;
use crate::support::sandbox::{Sandbox, at_once, lives, wait_for, wait_until};

/// A child that prints its generation and sleeps.
const STAY: &[&str] = &["sh", "-c", "echo child $DEVRUN_GENERATION; exec sleep 1000"];

fn start(sandbox: &Sandbox, options: &[&str], command: &[&str]) -> TestProcess {
    TestProcess::start(sandbox.devrun().args(options).arg("--").args(command))
}

/// Runs a test in both modes at the same time.
fn in_both_modes(test: impl Fn(&[&str]) + Sync) {
    at_once([&["-m", "event"][..], &["-m", "stat", "--poll-interval", "100ms"]], test);
}

#[test]
fn an_edit_restarts_once_and_names_the_changed_file() {
    in_both_modes(|mode| {
        let sandbox = Sandbox::new();
        let source = sandbox.write("src/app.py", "one");
        let mut devrun = start(&sandbox, mode, STAY);
        devrun.wait_for_line("child 1");
        fs::write(&source, "two").unwrap();
        devrun.wait_for_line("src/app.py changed");
        devrun.wait_for_line("child 2");
        devrun.wait_for_line("started in");
        devrun.stop();
        assert_eq!(devrun.count("child 3"), 0, "{:?}", devrun.lines());
    });
}

#[test]
#[cfg(target_os = "linux")]
fn signals_that_the_caller_ignores_are_not_ignored_in_the_child() {
    let sandbox = Sandbox::new();
    let report = sandbox.path("report");
    let helper = crate::support::sandbox::example("child");
    let ignoring = "default 1 ignore 2 ignore 3 ignore 13 ignore 34 ignore 64 exec".split(' ');
    let mut command = sandbox.command(&helper);
    command.args(ignoring).arg(env!("CARGO_BIN_EXE_devrun")).arg("--").arg(&helper);
    let mut devrun = TestProcess::start(command.arg("report").arg(&report).arg("sleep"));
    let text = wait_for("the child has reported", || fs::read_to_string(&report).ok());
    devrun.stop();
    // SIGPIPE is ignored by the helper program's own runtime.
    let ignored = text.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).unwrap();
    // The C library allows no change of signals 32 and 33, and musl none of 34. Some test runners leave them
    // ignored.
    let reserved = if cfg!(target_env = "musl") { 0x3_8000_0000 } else { 0x1_8000_0000 };
    assert_eq!(u64::from_str_radix(ignored, 16).unwrap() & !reserved, 0x1000, "{text}");
}

#[test]
fn a_change_without_new_content_does_not_restart() {
    in_both_modes(|mode| {
        let sandbox = Sandbox::new();
        let source = sandbox.write("src/app.py", "zero");
        let mut devrun = start(&sandbox, mode, STAY);
        devrun.wait_for_line("child 1");
        // From this edit on, devrun certainly knows the content of the file.
        fs::rename(sandbox.write("src/.app.py.new", "one"), &source).unwrap();
        devrun.wait_for_line("child 2");
        fs::write(&source, "one").unwrap();
        fs::File::options()
            .append(true)
            .open(&source)
            .unwrap()
            .set_modified(std::time::SystemTime::now())
            .unwrap();
        fs::set_permissions(&source, fs::Permissions::from_mode(0o755)).unwrap();
        fs::read(&source).unwrap();
        sandbox.write("src/.app.py.new", "one");
        fs::rename(sandbox.path("src/.app.py.new"), &source).unwrap();
        // The only change of content since, so the only restart.
        sandbox.write("src/other.py", "new");
        devrun.wait_for_line("src/other.py created");
        devrun.wait_for_line("child 3");
        devrun.stop();
        assert_eq!(devrun.count("child 4"), 0, "{:?}", devrun.lines());
        assert_eq!(devrun.count("app.py changed"), 1, "{:?}", devrun.lines());
    });
}

#[cfg(target_os = "linux")]
#[test]
fn ignored_directories_have_no_watch_and_cost_no_wakeup() {
    let sandbox = Sandbox::new();
    sandbox.write(".watchignore", "downloads/\n");
    sandbox.write("downloads/deep/er/file.zip", "x");
    sandbox.write("src/app.py", "one");
    let devrun = start(&sandbox, &["-m", "event"], STAY);
    devrun.wait_for_line("child 1");
    devrun.wait_for_line("(event)");
    let before = switches_at_rest(devrun.pid());
    for number in 0..1000 {
        sandbox.write(format!("downloads/deep/{number}.zip"), "content");
    }
    assert_eq!(switches(devrun.pid()), before, "a write into an ignored directory woke devrun");
    // The project itself and `src/`. The directories below `downloads/` have no watch.
    assert_eq!(watches(devrun.pid()), 2);
}

/// Voluntary context switches of all threads, once the number no longer grows.
#[cfg(target_os = "linux")]
fn switches_at_rest(pid: u32) -> u64 {
    let mut last = (switches(pid), std::time::Instant::now());
    wait_until("devrun is idle", || {
        let now = switches(pid);
        if now != last.0 {
            last = (now, std::time::Instant::now());
        }
        last.1.elapsed() > std::time::Duration::from_millis(500)
    });
    last.0
}

#[cfg(target_os = "linux")]
fn switches(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    // A thread may have ended since the directory was read.
    let status = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("status")).ok());
    status.filter_map(|status| field(&status, "voluntary_ctxt_switches:")).sum()
}

#[cfg(target_os = "linux")]
fn field(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[cfg(target_os = "linux")]
fn watches(pid: u32) -> usize {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap();
    let infos = descriptors.filter_map(|entry| fs::read_to_string(entry.unwrap().path()).ok());
    infos.map(|info| info.lines().filter(|line| line.starts_with("inotify wd:")).count()).sum()
}

#[test]
fn a_command_that_cannot_run_is_named_with_the_usual_status() {
    let sandbox = Sandbox::new();
    let missing = sandbox.devrun().args(["--", "no-such-program-here"]).output().unwrap();
    let words = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert_eq!(missing.status.code(), Some(127), "{words}");
    assert!(words.contains("no-such-program-here"), "{words}");
    let file = sandbox.write("plain.txt", "not a program");
    let refused = sandbox.devrun().arg("--").arg(&file).output().unwrap();
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(126), "{words}");
    assert!(words.contains("plain.txt"), "{words}");
}

#[test]
fn a_child_that_ends_is_named_and_devrun_waits() {
    let sandbox = Sandbox::new();
    let source = sandbox.write("app.py", "one");
    let mut devrun = start(&sandbox, &[], &["sh", "-c", "echo child $DEVRUN_GENERATION; exit 3"]);
    devrun.wait_for_line("exited with status 3");
    fs::write(source, "two").unwrap();
    devrun.wait_for_line("child 2");
    devrun.wait_for_count("exited with status 3", 2);
    let status = devrun.stop();
    assert_eq!(status.signal(), Some(15));
}

#[test]
fn on_exit_quit_ends_with_the_childs_status() {
    let sandbox = Sandbox::new();
    let mut devrun = start(&sandbox, &["--on-exit", "quit"], &["sh", "-c", "exit 7"]);
    assert_eq!(devrun.wait().code(), Some(7), "{:?}", devrun.lines());
}

/// The processes that printed `pid NUMBER`, once there are `count` of them.
fn pids(devrun: &TestProcess, count: usize) -> Vec<i32> {
    wait_for("the tree has said its pids", || {
        let lines = devrun.lines();
        let pids: Vec<i32> =
            lines.iter().filter_map(|line| line.strip_prefix("pid ")?.parse().ok()).collect();
        (pids.len() == count).then_some(pids)
    })
}

#[test]
fn ctrl_c_and_sigterm_leave_no_process_and_devrun_ends_by_the_signal() {
    for signal in [2, 15] {
        let sandbox = Sandbox::new();
        let mut devrun = start(&sandbox, &[], &["sh", "-c", "sleep 1000 & echo pid $!; echo pid $$; wait"]);
        let pids = pids(&devrun, 2);
        devrun.signal(signal);
        assert_eq!(devrun.wait().signal(), Some(signal));
        for pid in pids {
            assert!(!lives(pid), "{pid} outlived devrun");
        }
    }
}

#[test]
fn the_json_log_lists_the_events_of_a_restart_in_order() {
    let sandbox = Sandbox::new();
    let source = sandbox.write("app.py", "one");
    let mut devrun = start(&sandbox, &["--log-format", "json"], STAY);
    devrun.wait_for_line("child 1");
    fs::write(source, "two").unwrap();
    devrun.wait_for_line("child 2");
    devrun.wait_for_count(r#""event":"ready""#, 2);
    devrun.stop();
    let events: Vec<serde_json::Value> =
        devrun.lines().iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    let wanted =
        ["watching", "started", "ready", "changed", "restarting", "stopping", "stopped", "started", "ready"];
    let mut rest = names.iter();
    for name in wanted {
        assert!(rest.any(|seen| *seen == name), "no {name} in its place in {names:?}");
    }
    assert_eq!(names.last(), Some(&"summary"));
    assert!(events.iter().all(|event| event["v"] == 1));
    let restarted = events.iter().filter(|event| event["event"] == "started").nth(1).unwrap();
    assert!(restarted["changed_to_start_us"].is_u64(), "{restarted}");
}

#[cfg(target_os = "linux")]
#[test]
fn no_watch_supervises_only() {
    let sandbox = Sandbox::new();
    sandbox.write("app.py", "one");
    let mut devrun = start(&sandbox, &["--no-watch"], STAY);
    devrun.wait_for_line("child 1");
    assert_eq!(watches(devrun.pid()), 0);
    devrun.stop();
}

#[test]
fn a_killed_devrun_leaves_no_process_of_its_group() {
    let sandbox = Sandbox::new();
    let script = "trap '' TERM HUP; sleep 1000 & echo pid $!; echo pid $$; wait; wait";
    let mut devrun = start(&sandbox, &[], &["sh", "-c", script]);
    let pids = pids(&devrun, 2);
    devrun.signal(9);
    devrun.wait();
    wait_until("the whole group is gone", || pids.iter().all(|pid| !lives(*pid)));
}

#[cfg(target_os = "linux")]
#[test]
fn a_killed_devrun_leaves_no_process() {
    let sandbox = Sandbox::new();
    let mut devrun = start(
        &sandbox,
        &[],
        &[
            "sh",
            "-c",
            "trap '' TERM; setsid sh -c 'trap \"\" TERM; echo pid $$; sleep 1000' & echo pid $$; wait; wait",
        ],
    );
    let pids = pids(&devrun, 2);
    devrun.signal(9);
    devrun.wait();
    wait_until("the whole tree is gone", || pids.iter().all(|pid| !lives(*pid)));
}

#[test]
fn an_edit_of_devrun_toml_takes_effect() {
    let sandbox = Sandbox::new();
    let config = sandbox.write("devrun.toml", "[watch]\next = [\"py\"]\n");
    let page = sandbox.write("page.html", "one");
    let mut devrun = start(&sandbox, &[], STAY);
    devrun.wait_for_line("child 1");
    fs::write(&config, "[watch]\nexxt = [\"html\"]\n").unwrap();
    devrun.wait_for_line("the old settings stay in effect");
    fs::write(&config, "[watch]\next = [\"html\"]\n").unwrap();
    devrun.wait_for_line("devrun.toml changed: in effect");
    devrun.wait_for_count("watching ", 2);
    fs::write(&page, "two").unwrap();
    devrun.wait_for_line("page.html changed");
    devrun.wait_for_line("child 2");
    fs::write(&config, "[watch]\next = [\"html\"]\n[run]\nenv = { GREETING = \"hello\" }\n").unwrap();
    devrun.wait_for_line("in effect, with a restart");
    devrun.wait_for_count("child 1", 2);
    devrun.stop();
}

#[cfg(target_os = "linux")]
#[test]
fn an_edited_rule_file_takes_effect_at_once_and_restarts_nothing() {
    in_both_modes(|mode| {
        let sandbox = Sandbox::new();
        let data = sandbox.write("data/deep/table.json", "one");
        let source = sandbox.write("src/app.py", "one");
        let mut devrun = start(&sandbox, mode, STAY);
        devrun.wait_for_line("child 1");
        sandbox.write(".watchignore", "data/\n[unclosed\n");
        devrun.wait_for_line(".watchignore changed, rules reloaded");
        // devrun names a bad line, and the other rules apply.
        devrun.wait_for_line(".watchignore:2:1: [unclosed");
        if mode == ["-m", "event"] {
            wait_until("the ignored directories have lost their watches", || watches(devrun.pid()) == 2);
        }
        fs::write(&data, "two").unwrap();
        fs::write(&source, "two").unwrap();
        devrun.wait_for_line("child 2");
        fs::remove_file(sandbox.path(".watchignore")).unwrap();
        devrun.wait_for_count("rules reloaded", 2);
        fs::write(&data, "three").unwrap();
        devrun.wait_for_line("data/deep/table.json changed");
        devrun.wait_for_line("child 3");
        devrun.stop();
        assert_eq!(devrun.count("child 4"), 0, "{:?}", devrun.lines());
        assert_eq!(devrun.count("table.json changed"), 1, "{:?}", devrun.lines());
    });
}
