//! Restart loops in the program: devrun names a path that changes after each start, slows its restarts, and
//! loses no edit.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::support::process::TestProcess;
use crate::support::sandbox::{Sandbox, at_once, wait_until};

const MODES: [&[&str]; 2] = [&["--mode", "event"], &["--mode", "stat", "--poll-interval", "100ms"]];

/// Starts devrun with a shell line as COMMAND. Each start adds a line to the file `starts` outside of the
/// watched tree.
fn start(sandbox: &Sandbox, options: &[&str], line: &str) -> TestProcess {
    let line = format!("echo up $DEVRUN_GENERATION >> {}; {line}", starts_file(sandbox).display());
    let mut command = sandbox.devrun();
    command.arg("-v").args(options).args(["--", "sh", "-c", &line]);
    TestProcess::start(&mut command)
}

fn starts_file(sandbox: &Sandbox) -> PathBuf {
    sandbox.outside().join("starts")
}

fn starts(sandbox: &Sandbox) -> usize {
    std::fs::read_to_string(starts_file(sandbox)).unwrap_or_default().lines().count()
}

/// Waits until no generation has started for the time `quiet`, and returns the number of starts.
fn settle(sandbox: &Sandbox, quiet: Duration) -> usize {
    let mut last = (starts(sandbox), Instant::now());
    wait_until("no generation starts any more", || {
        let now = starts(sandbox);
        if now != last.0 {
            last = (now, Instant::now());
        }
        last.1.elapsed() >= quiet
    });
    last.0
}

/// Three ways to write `src/cache.json` at each start, with new content each time.
const IN_PLACE: &str = "date +%N > src/cache.json; exec sleep 1000";
const BY_RENAME: &str = "date +%N > src/cache.tmp; mv src/cache.tmp src/cache.json; exec sleep 1000";
const KEPT_OPEN: &str = "exec 5>> src/cache.json; date +%N >> src/cache.json; exec sleep 1000";

#[test]
fn a_file_that_the_server_writes_at_each_start_is_named_and_slowed_down() {
    let cases = MODES.into_iter().flat_map(|mode| [IN_PLACE, BY_RENAME, KEPT_OPEN].map(|line| (mode, line)));
    at_once(cases, |(mode, line)| {
        let sandbox = Sandbox::new();
        sandbox.write("src/app.py", "1");
        sandbox.write(".watchignore", "*.tmp\n");
        let run = start(&sandbox, mode, line);
        run.wait_for_line("src/cache.json changed right after each of the last 3 starts");
        run.wait_for_line("add this line to .watchignore: /src/cache.json");
        // The delay grows longer than this time.
        let settled = settle(&sandbox, Duration::from_millis(1500));
        sandbox.write("src/app.py", "2");
        wait_until("an edit of another file restarts", || starts(&sandbox) > settled);
        assert_eq!(run.count("right after each"), 1, "named once: {:#?}", run.lines());
    });
}

#[test]
fn a_new_name_at_each_start_names_the_directory() {
    at_once(MODES, |mode| {
        let sandbox = Sandbox::new();
        sandbox.write("src/app.py", "1");
        let run = start(&sandbox, mode, "date > src/out-$DEVRUN_GENERATION.json; exec sleep 1000");
        run.wait_for_line("new files in src changed right after each of the last ");
        run.wait_for_line("add this line to .watchignore: /src/");
        settle(&sandbox, Duration::from_millis(1500));
    });
}

#[test]
fn a_build_that_writes_new_names_at_any_moment_names_the_directory() {
    // A generation without a proxy counts as ready at once; behind a proxy it ends before it is ready.
    at_once([&[][..], &["--proxy", "127.0.0.1:0"]], |options| {
        let sandbox = Sandbox::new();
        sandbox.write("src/app.js", "1");
        let build = "mkdir -p dist; sleep 0.$((DEVRUN_GENERATION % 2 * 8)); rm -f dist/*; date > dist/$$.js";
        let run = start(&sandbox, options, &format!("{build}; exec sleep 1000"));
        run.wait_for_line("new files in dist changed right after each of the last");
        run.wait_for_line("add this line to .watchignore: /dist/");
        let settled = settle(&sandbox, Duration::from_millis(1500));
        sandbox.write("src/app.js", "2");
        wait_until("an edit of a source file restarts", || starts(&sandbox) > settled);
        assert_eq!(run.count("right after each"), 1, "named once: {:#?}", run.lines());
    });
}

#[test]
fn the_first_restart_by_new_untracked_files_says_how_to_ignore_them() {
    at_once([false, true], |has_repository| {
        let sandbox = Sandbox::new();
        sandbox.write("src/app.py", "1");
        sandbox.write("out/1/old.json", "1");
        if has_repository {
            sandbox.git(&["init", "-q"]);
            sandbox.git(&["add", "src"]);
        }
        let run = start(&sandbox, &[], "exec sleep 1000");
        wait_until("COMMAND has started", || starts(&sandbox) == 1);
        let advice = "if COMMAND writes them, run `devrun init`, or add this line to .watchignore";
        for (path, times) in [("src/new.py", 2), ("src/app.py", 3), ("out/1/new.json", 4), ("out/2.json", 5)]
        {
            // Without git, no directory is tracked.
            if has_repository || path != "src/new.py" {
                sandbox.write(path, format!("{times}"));
                wait_until("the change restarts", || {
                    starts(&sandbox) >= times - usize::from(!has_repository)
                });
            }
        }
        let directory = if has_repository { "out" } else { "out/1" };
        run.wait_for_line(&format!(
            "only new files in {directory} cause this restart, and git tracks none there"
        ));
        run.wait_for_line(&format!("{advice}: /{directory}/"));
        assert_eq!(run.count(advice), 1, "{:#?}", run.lines());
    });
}

#[test]
fn the_rule_that_is_printed_ends_the_loop() {
    let sandbox = Sandbox::new();
    sandbox.write("app.py", "1");
    let run = start(&sandbox, &[], "date > out-$DEVRUN_GENERATION.json; exec sleep 1000");
    run.wait_for_line("add this line to .watchignore: /*.json");
    sandbox.write(".watchignore", "/*.json\n");
    run.wait_for_line(".watchignore changed, rules reloaded");
    let before = starts(&sandbox);
    sandbox.write("app.py", "2");
    wait_until("an edit restarts", || starts(&sandbox) > before);
    // One restart may have been due when the rule took effect.
    assert!(settle(&sandbox, Duration::from_millis(2500)) <= before + 2, "{:#?}", run.lines());
}

#[test]
fn an_edit_by_hand_is_not_delayed() {
    at_once(MODES, |mode| {
        let sandbox = Sandbox::new();
        let run = start(&sandbox, mode, &format!("mkdir -p src; {IN_PLACE}"));
        run.wait_for_line("right after each of the last 3 starts");
        // The delay is now at least 4.8 s. The test may edit the file 3 s after its last change.
        let written = || std::fs::metadata(sandbox.path("src/cache.json")).unwrap().modified().unwrap();
        let old = Duration::from_millis(3300);
        wait_until("the last change is old", || written().elapsed().is_ok_and(|age| age > old));
        let settled = starts(&sandbox);
        sandbox.write("src/cache.json", "by hand");
        wait_until("an edit by hand restarts", || starts(&sandbox) > settled);
        // The count begins again: devrun names the path again after three more starts.
        wait_until("devrun names the path again", || run.count("right after each") == 2);
    });
}

#[test]
fn a_file_that_a_build_writes_is_named_and_slowed_down() {
    let sandbox = Sandbox::new();
    sandbox.write("app.py", "1");
    let build = ["--build", "sleep 0.4; date +%N > built.json"];
    let run = start(&sandbox, &build, "exec sleep 1000");
    run.wait_for_line("built.json changed right after each of the last 3 starts");
    settle(&sandbox, Duration::from_millis(1500));
}

#[test]
fn edits_by_a_script_right_after_each_start_are_not_lost() {
    at_once(MODES, |mode| {
        let sandbox = Sandbox::new();
        sandbox.write("app.py", "0");
        let run = start(&sandbox, mode, "exec sleep 1000");
        for time in 1..=5 {
            wait_until("COMMAND has started", || starts(&sandbox) >= time);
            sandbox.write("app.py", format!("{time}"));
            wait_until("the save restarts", || starts(&sandbox) > time);
        }
        assert_eq!(settle(&sandbox, Duration::from_millis(500)), 6, "{:#?}", run.lines());
    });
}

#[test]
fn devruns_own_output_restarts_nothing() {
    let cases =
        MODES.iter().flat_map(|mode| [(mode, "> out.txt 2>&1"), (mode, "--log-format json 2> events.json")]);
    at_once(cases, |(mode, way)| {
        let sandbox = Sandbox::new();
        sandbox.write("app.py", "1");
        let devrun = env!("CARGO_BIN_EXE_devrun");
        let starts_at = starts_file(&sandbox);
        let (options, output) = way
            .split_once("2> ")
            .map_or(("", way.to_owned()), |(options, file)| (options, format!("2> {file}")));
        let line = format!(
            "exec {devrun} -v {} {options} -- sh -c 'echo up >> {}; while sleep 0.05; do date +%N; done' {output}",
            mode.join(" "),
            starts_at.display()
        );
        let mut command = sandbox.command("sh");
        command.args(["-c", &line]);
        let _run = TestProcess::start(&mut command);
        wait_until("COMMAND has started", || starts(&sandbox) == 1);
        sandbox.write("app.py", "2");
        wait_until("an edit restarts", || starts(&sandbox) == 2);
        assert_eq!(settle(&sandbox, Duration::from_millis(800)), 2);
    });
}

/// Ends the devrun whose process number is in this file. That devrun is not a child of the test.
struct Elsewhere(PathBuf);

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let Ok(pid) = std::fs::read_to_string(&self.0) else { return };
        let _ = std::process::Command::new("kill").arg(pid.trim()).status();
    }
}

#[test]
fn output_that_another_process_writes_for_devrun_is_named_and_slowed_down() {
    let sandbox = Sandbox::new();
    let devrun = Elsewhere(sandbox.outside().join("pid"));
    let line = format!(
        "{} -v --mode stat --poll-interval 100ms -- sh -c 'echo $PPID > {}; echo up >> {}; exec sleep 1000' 2>&1 \
         | tee out.txt",
        env!("CARGO_BIN_EXE_devrun"),
        devrun.0.display(),
        starts_file(&sandbox).display()
    );
    let mut command = sandbox.command("sh");
    command.args(["-c", &line]);
    let run = TestProcess::start(&mut command);
    run.wait_for_line("out.txt changed right after each of the last 3 starts");
    settle(&sandbox, Duration::from_millis(1500));
}

#[test]
fn with_on_loop_restart_nothing_is_slowed_down() {
    let sandbox = Sandbox::new();
    sandbox.write("src/app.py", "1");
    let run = start(&sandbox, &["--on-loop", "restart"], IN_PLACE);
    wait_until("devrun goes on restarting COMMAND", || starts(&sandbox) >= 8);
    assert_eq!(run.count("right after each"), 0, "{:#?}", run.lines());
}
