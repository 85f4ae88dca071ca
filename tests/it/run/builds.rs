//! Builds through the program: in order, beside what serves, cancelled by what is newer, and never the reason for a restart.

use std::time::{Duration, Instant};

use crate::support::process::TestProcess;
use crate::support::sandbox::{Sandbox, at_once, lives, wait_until};

/// Lines that the builds and the command have written, outside of what is watched.
fn told(sandbox: &Sandbox) -> Vec<String> {
    let text = std::fs::read_to_string(sandbox.outside().join("told")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn count(sandbox: &Sandbox, line: &str) -> usize {
    told(sandbox).iter().filter(|told| told.starts_with(line)).count()
}

/// devrun with these builds; `say WORDS` in them and in the command adds a line.
fn start(sandbox: &Sandbox, options: &[&str], builds: &[&str]) -> TestProcess {
    let say = format!("say() {{ echo \"$@\" >> {}; }}; ", sandbox.outside().join("told").display());
    sandbox.write("app.c", "1");
    let mut command = sandbox.devrun();
    command.args(options);
    for build in builds {
        command.args(["--build", &format!("{say}{build}")]);
    }
    command.args(["--", "sh", "-c", &format!("{say}say up $$; exec sleep 1000")]);
    TestProcess::start(&mut command)
}

fn settle(sandbox: &Sandbox) {
    let mut last = (0, Instant::now());
    wait_until("nothing happens any more", || {
        let now = told(sandbox).len();
        if now != last.0 {
            last = (now, Instant::now());
        }
        now > 0 && last.1.elapsed() >= Duration::from_millis(1000)
    });
}

#[test]
fn they_run_in_order_and_a_failure_keeps_what_serves_until_it_is_mended() {
    let sandbox = Sandbox::new();
    let first = "say first; if grep -q bad app.c; then echo 'app.c: it is bad'; exit 7; fi";
    let run = start(&sandbox, &[], &[first, "say second"]);
    wait_until("it is up", || count(&sandbox, "up") == 1);
    assert_eq!(told(&sandbox)[..2], ["first", "second"]);
    let pid = told(&sandbox)[2].strip_prefix("up ").unwrap().parse().unwrap();
    sandbox.write("app.c", "bad");
    let line = run.wait_for_line("the build exited with status 7");
    assert!(line.contains("generation 1 goes on serving"), "{line}");
    run.wait_for_line("app.c: it is bad");
    assert!(lives(pid), "the old generation goes on");
    assert_eq!((count(&sandbox, "first"), count(&sandbox, "second")), (2, 1));
    sandbox.write("app.c", "good");
    wait_until("it is mended", || count(&sandbox, "up") == 2);
    assert_eq!(told(&sandbox)[4..6], ["first", "second"]);
    wait_until("the old generation is gone", || !lives(pid));
}

#[test]
fn a_newer_change_cancels_a_build_with_all_its_processes() {
    let sandbox = Sandbox::new();
    let slow = "say building $$; if grep -q slow app.c; then (trap '' TERM; say stubborn; sleep 1000) & sleep 1000; fi; say built";
    let run = start(&sandbox, &["--stop-timeout", "300ms"], &[slow]);
    wait_until("it is up", || count(&sandbox, "up") == 1);
    let served = told(&sandbox).iter().find_map(|line| line.strip_prefix("up ")?.parse().ok()).unwrap();
    sandbox.write("app.c", "slow");
    wait_until("it is being built", || count(&sandbox, "stubborn") == 1);
    let building =
        told(&sandbox).iter().filter_map(|line| line.strip_prefix("building ")?.parse().ok()).nth(1);
    assert!(lives(served) && lives(building.unwrap()));
    sandbox.write("app.c", "quick");
    wait_until("the newer one is up", || count(&sandbox, "up") == 2);
    // The first, the cancelled, and the newer one.
    assert_eq!((count(&sandbox, "building"), count(&sandbox, "built")), (3, 2), "{:#?}", told(&sandbox));
    assert!(!lives(building.unwrap()), "{:#?}", run.lines());
}

#[test]
fn many_changes_during_builds_end_in_one_generation_that_has_the_last() {
    let sandbox = Sandbox::new();
    let run =
        start(&sandbox, &["--on-loop", "restart"], &["content=$(cat app.c); sleep 0.2; say built $content"]);
    wait_until("it is up", || count(&sandbox, "up") == 1);
    for time in 2..=20 {
        sandbox.write("app.c", format!("{time}"));
        std::thread::sleep(Duration::from_millis(60));
    }
    wait_until("the last one is built", || count(&sandbox, "built 20") == 1);
    settle(&sandbox);
    assert!(told(&sandbox).last().unwrap().starts_with("up"), "{:#?} {:#?}", told(&sandbox), run.lines());
    let pids: Vec<i32> =
        told(&sandbox).iter().filter_map(|line| line.strip_prefix("up ")?.parse().ok()).collect();
    assert_eq!(pids.into_iter().filter(|pid| lives(*pid)).count(), 1);
}

#[test]
fn what_they_write_where_it_is_ignored_or_as_it_was_restarts_nothing() {
    at_once(["event", "stat"], |mode| {
        let sandbox = Sandbox::new();
        sandbox.write(".watchignore", "target/\n");
        let build =
            "say build; mkdir -p target; date +%N > target/app; date +%N > target/app.o; cp app.c copy.c";
        let run = start(&sandbox, &["--mode", mode, "--poll-interval", "100ms"], &[build]);
        wait_until("it is up", || count(&sandbox, "up") >= 1);
        settle(&sandbox);
        // The copy is new once, and the same ever after.
        let (builds, starts) = (count(&sandbox, "build"), count(&sandbox, "up"));
        assert!(builds <= 2 && starts <= 2, "{:#?} {:#?}", told(&sandbox), run.lines());
        std::fs::write(sandbox.path("app.c"), "2").unwrap();
        wait_until("an edit is built", || count(&sandbox, "up") > starts);
        settle(&sandbox);
        assert!(count(&sandbox, "build") <= builds + 2, "{:#?} {:#?}", told(&sandbox), run.lines());
    });
}

#[test]
fn what_they_write_anew_each_time_is_named_and_slowed_down() {
    at_once(["event", "stat"], |mode| {
        let sandbox = Sandbox::new();
        sandbox.write("src/main.c", "1");
        // Written at once, and again at the end: before and after the change can be noticed.
        let build = "say build; date +%N > src/generated.c; sleep 0.5; date +%N > src/generated.c";
        let run = start(&sandbox, &["--mode", mode, "--poll-interval", "100ms"], &[build]);
        run.wait_for_line("src/generated.c changed right after each of the last 3 starts");
        run.wait_for_line("add this line to .watchignore: /src/generated.c");
        wait_until("it is up", || count(&sandbox, "up") >= 1);
    });
}
