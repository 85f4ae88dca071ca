//! Build steps of the program: their order, a build next to a running server, and a build cancelled by a
//! newer change.

use std::time::{Duration, Instant};

use crate::support::process::TestProcess;
use crate::support::sandbox::{Sandbox, at_once, lives, wait_until};

/// The lines that builds and the command have written outside of the watched tree.
fn written(sandbox: &Sandbox) -> Vec<String> {
    let text = std::fs::read_to_string(sandbox.outside().join("told")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn count(sandbox: &Sandbox, line: &str) -> usize {
    written(sandbox).iter().filter(|told| told.starts_with(line)).count()
}

/// Starts devrun with these builds. In them and in the command, `say WORDS` writes a line.
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
    wait_until("builds and starts have ended", || {
        let now = written(sandbox).len();
        if now != last.0 {
            last = (now, Instant::now());
        }
        now > 0 && last.1.elapsed() >= Duration::from_millis(1000)
    });
}

#[test]
fn builds_run_in_order_and_a_failed_build_keeps_the_old_generation() {
    let sandbox = Sandbox::new();
    let first = "say first; if grep -q bad app.c; then echo 'app.c: it is bad'; exit 7; fi";
    let run = start(&sandbox, &[], &[first, "say second"]);
    wait_until("COMMAND has started", || count(&sandbox, "up") == 1);
    assert_eq!(written(&sandbox)[..2], ["first", "second"]);
    let pid = written(&sandbox)[2].strip_prefix("up ").unwrap().parse().unwrap();
    sandbox.write("app.c", "bad");
    let line = run.wait_for_line("the build exited with status 7");
    assert!(line.contains("generation 1 goes on serving"), "{line}");
    run.wait_for_line("app.c: it is bad");
    assert!(lives(pid), "the old generation goes on");
    assert_eq!((count(&sandbox, "first"), count(&sandbox, "second")), (2, 1));
    sandbox.write("app.c", "good");
    wait_until("the corrected code serves", || count(&sandbox, "up") == 2);
    assert_eq!(written(&sandbox)[4..6], ["first", "second"]);
    wait_until("the old generation is gone", || !lives(pid));
}

#[test]
fn a_newer_change_cancels_a_build_with_all_its_processes() {
    let sandbox = Sandbox::new();
    let slow = "say building $$; if grep -q slow app.c; then (trap '' TERM; say stubborn; sleep 1000) & sleep 1000; fi; say built";
    let run = start(&sandbox, &["--stop-timeout", "300ms"], &[slow]);
    wait_until("COMMAND has started", || count(&sandbox, "up") == 1);
    let served = written(&sandbox).iter().find_map(|line| line.strip_prefix("up ")?.parse().ok()).unwrap();
    sandbox.write("app.c", "slow");
    wait_until("the build runs", || count(&sandbox, "stubborn") == 1);
    let building =
        written(&sandbox).iter().filter_map(|line| line.strip_prefix("building ")?.parse().ok()).nth(1);
    assert!(lives(served) && lives(building.unwrap()));
    sandbox.write("app.c", "quick");
    wait_until("the newer generation has started", || count(&sandbox, "up") == 2);
    // Started: the first build, the cancelled build and the newer build. Completed: two of them.
    assert_eq!((count(&sandbox, "building"), count(&sandbox, "built")), (3, 2), "{:#?}", written(&sandbox));
    assert!(!lives(building.unwrap()), "{:#?}", run.lines());
}

#[test]
fn many_changes_during_builds_end_in_one_generation_with_the_last_change() {
    let sandbox = Sandbox::new();
    let run =
        start(&sandbox, &["--on-loop", "restart"], &["content=$(cat app.c); sleep 0.2; say built $content"]);
    wait_until("COMMAND has started", || count(&sandbox, "up") == 1);
    for time in 2..=20 {
        sandbox.write("app.c", format!("{time}"));
        std::thread::sleep(Duration::from_millis(60));
    }
    wait_until("the last change is built", || count(&sandbox, "built 20") == 1);
    settle(&sandbox);
    assert!(
        written(&sandbox).last().unwrap().starts_with("up"),
        "{:#?} {:#?}",
        written(&sandbox),
        run.lines()
    );
    let pids: Vec<i32> =
        written(&sandbox).iter().filter_map(|line| line.strip_prefix("up ")?.parse().ok()).collect();
    assert_eq!(pids.into_iter().filter(|pid| lives(*pid)).count(), 1);
}

#[test]
fn ignored_and_unchanged_build_output_restarts_nothing() {
    at_once(["event", "stat"], |mode| {
        let sandbox = Sandbox::new();
        sandbox.write(".watchignore", "target/\n");
        let build =
            "say build; mkdir -p target; date +%N > target/app; date +%N > target/app.o; cp app.c copy.c";
        let run = start(&sandbox, &["--mode", mode, "--poll-interval", "100ms"], &[build]);
        wait_until("COMMAND has started", || count(&sandbox, "up") >= 1);
        settle(&sandbox);
        // The copy is new once and has the same content later.
        let (builds, starts) = (count(&sandbox, "build"), count(&sandbox, "up"));
        assert!(builds <= 2 && starts <= 2, "{:#?} {:#?}", written(&sandbox), run.lines());
        std::fs::write(sandbox.path("app.c"), "2").unwrap();
        wait_until("an edit is built", || count(&sandbox, "up") > starts);
        settle(&sandbox);
        assert!(count(&sandbox, "build") <= builds + 2, "{:#?} {:#?}", written(&sandbox), run.lines());
    });
}

#[test]
fn build_output_that_changes_each_time_is_named_and_slowed_down() {
    at_once(["event", "stat"], |mode| {
        let sandbox = Sandbox::new();
        sandbox.write("src/main.c", "1");
        // Each build writes twice, so that a write comes before the change is noticed and another one after.
        let build = "say build; date +%N > src/generated.c; sleep 0.5; date +%N > src/generated.c";
        let run = start(&sandbox, &["--mode", mode, "--poll-interval", "100ms"], &[build]);
        run.wait_for_line("src/generated.c changed right after each of the last 3 starts");
        run.wait_for_line("add this line to .watchignore: /src/generated.c");
        wait_until("COMMAND has started", || count(&sandbox, "up") >= 1);
    });
}
