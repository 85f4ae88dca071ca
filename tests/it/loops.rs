//! Restart loops through the program: what the server writes itself is named and left out, what anybody else writes counts.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::sandbox::{Running, Sandbox, wait_until};

const MODES: [&[&str]; 2] = [&["--mode", "event"], &["--mode", "stat", "--poll-interval", "100ms"]];

/// Who devrun is: what it can find out depends on that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum As {
    /// As this test is: root may be told who writes.
    Ourselves,
    /// One who is told nothing, and looks himself.
    Anybody,
    /// One who may not even look: the file is somebody else's.
    Stranger,
}

/// Whether the kernel tells who writes: as root.
pub(crate) fn is_told() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let caps = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let caps = caps.and_then(|caps| u64::from_str_radix(caps.trim(), 16).ok()).unwrap_or(0);
    let ours = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    // CAP_SYS_ADMIN, and of the first user namespace.
    caps & (1 << 21) != 0 && ours.split_whitespace().eq(["0", "0", "4294967295"])
}

/// devrun around a shell line; starts are lines of `starts`, outside of the tree.
fn start(sandbox: &Sandbox, options: &[&str], line: &str, who: As) -> Running {
    let line = format!("echo up $DEVRUN_GENERATION >> {}; {line}", starts_file(sandbox).display());
    let mut command = match who {
        As::Anybody | As::Stranger if is_told() => {
            let mut command = sandbox.command("setpriv");
            let lacks = if who == As::Anybody { "-sys_admin" } else { "-sys_admin,-lease" };
            command.args(["--bounding-set", lacks, env!("CARGO_BIN_EXE_devrun")]);
            command
        }
        _ => sandbox.devrun(),
    };
    command.arg("-v").args(options).args(["--", "sh", "-c", &line]);
    Running::start(&mut command)
}

fn starts_file(sandbox: &Sandbox) -> PathBuf {
    sandbox.outside().join("starts")
}

fn starts(sandbox: &Sandbox) -> usize {
    std::fs::read_to_string(starts_file(sandbox)).unwrap_or_default().lines().count()
}

/// Waits until nothing has started for so long.
fn settle(sandbox: &Sandbox, quiet: Duration) -> usize {
    let mut last = (starts(sandbox), Instant::now());
    wait_until("nothing starts any more", || {
        let now = starts(sandbox);
        if now != last.0 {
            last = (now, Instant::now());
        }
        last.1.elapsed() >= quiet
    });
    last.0
}

/// An edit restarts the server, which has started so often, once more; and nothing that it then writes does.
fn restarts_once(
    sandbox: &Sandbox,
    run: &Running,
    path: &str,
    content: &str,
    settled: usize,
    quiet: Duration,
) {
    sandbox.write(path, content);
    wait_until("an edit restarts", || starts(sandbox) == settled + 1);
    assert_eq!(settle(sandbox, quiet), settled + 1, "{:#?}", run.lines());
}

/// Ways to write `src/cache.json` anew at each start.
const IN_PLACE: &str = "date +%N > src/cache.json; exec sleep 1000";
const BY_RENAME: &str = "date +%N > src/cache.tmp; mv src/cache.tmp src/cache.json; exec sleep 1000";
const KEPT_OPEN: &str = "exec 5>> src/cache.json; date +%N >> src/cache.json; exec sleep 1000";

fn the_servers_own_writes(line: &str, who: As) {
    for mode in MODES {
        let sandbox = Sandbox::new();
        sandbox.write("src/app.py", "1");
        sandbox.write(".watchignore", "*.tmp\n");
        let run = start(&sandbox, mode, line, who);
        run.wait_for_line("src/cache.json changed right after each of the last 3 starts");
        run.wait_for_line("it no longer restarts the server");
        run.wait_for_line("/src/cache.json");
        let settled = settle(&sandbox, Duration::from_millis(800));
        // Who replaces a file may not be met at once by one who has to look.
        let most = if line == BY_RENAME && who == As::Anybody { 30 } else { 4 };
        assert!(settled <= most, "{settled} starts: {:#?}", run.lines());
        // Other changes still count, and what the server then writes still does not.
        restarts_once(&sandbox, &run, "src/app.py", "2", settled, Duration::from_millis(800));
    }
}

#[test]
fn what_the_server_writes_at_each_start_is_named_and_left_out() {
    for line in [IN_PLACE, BY_RENAME, KEPT_OPEN] {
        the_servers_own_writes(line, As::Anybody);
    }
}

#[test]
#[ignore = "needs root"]
fn what_the_server_writes_at_each_start_is_told_by_the_kernel() {
    if !is_told() {
        return eprintln!("skipped: this container's root is not told who writes");
    }
    for line in [IN_PLACE, BY_RENAME, KEPT_OPEN] {
        the_servers_own_writes(line, As::Ourselves);
    }
}

#[test]
fn a_server_that_writes_many_files_comes_to_rest() {
    // A log that stays open until the server is stopped, a database, a cache, and a file that is replaced: each at its own time.
    let line = "exec 5>> server.log; date +%N >&5; date +%N >> app.db; sleep 0.1; \
        date +%N > cache.json; date +%N > state.tmp; mv state.tmp state.bin; exec sleep 1000";
    for (mode, who) in MODES.iter().flat_map(|mode| [(mode, As::Ourselves), (mode, As::Anybody)]) {
        let sandbox = Sandbox::new();
        sandbox.write("app.py", "1");
        sandbox.write(".watchignore", "*.tmp\n");
        let run = start(&sandbox, mode, line, who);
        run.wait_for_line("it no longer restarts the server");
        let settled = settle(&sandbox, Duration::from_millis(1000));
        assert!(settled <= 10, "{settled} starts: {:#?}", run.lines());
        // What is written when the server is stopped, or by helpers that are gone in no time, may take a few edits to be found
        // out. Then it is at rest: edits in a row restart it once each.
        let mut in_a_row = 0;
        for edit in 2..=8 {
            let settled = starts(&sandbox);
            sandbox.write("app.py", format!("{edit}"));
            wait_until("an edit restarts", || starts(&sandbox) > settled);
            let once = settle(&sandbox, Duration::from_millis(1000)) == settled + 1;
            in_a_row = if once { in_a_row + 1 } else { 0 };
            if in_a_row == 3 {
                break;
            }
        }
        assert_eq!(in_a_row, 3, "{:#?}", run.lines());
    }
}

#[test]
fn an_edit_by_hand_counts_though_the_path_is_left_out() {
    for (mode, who) in MODES.iter().flat_map(|mode| [(mode, As::Ourselves), (mode, As::Anybody)]) {
        let sandbox = Sandbox::new();
        let run = start(&sandbox, mode, &format!("mkdir -p src; {IN_PLACE}"), who);
        run.wait_for_line("it no longer restarts the server");
        let settled = settle(&sandbox, Duration::from_millis(500));
        restarts_once(&sandbox, &run, "src/cache.json", "by hand", settled, Duration::from_millis(800));
    }
}

/// A database, say, that is opened, written and closed for each request.
#[test]
fn what_the_server_goes_on_writing_restarts_it_no_more() {
    let line = format!(
        "{}; while sleep 0.1; do date +%N >> src/cache.json; done",
        IN_PLACE.replace("; exec sleep 1000", "")
    );
    for (mode, who) in MODES.iter().flat_map(|mode| [(mode, As::Ourselves), (mode, As::Anybody)]) {
        let sandbox = Sandbox::new();
        sandbox.write("src/app.py", "1");
        let run = start(&sandbox, mode, &line, who);
        run.wait_for_line("it no longer restarts the server");
        settle(&sandbox, Duration::from_millis(4500));
        let settled = starts(&sandbox);
        assert!(settled <= 5, "{settled} starts, {mode:?} {who:?}: {:#?}", run.lines());
        // One that falls into the moment in which the server has the file open is not told from the server's.
        let mut saved: Option<Instant> = None;
        wait_until("an edit by hand restarts", || {
            if saved.is_none_or(|at| at.elapsed() > Duration::from_millis(330)) {
                sandbox.write("src/cache.json", "by hand");
                saved = Some(Instant::now());
            }
            starts(&sandbox) > settled
        });
    }
}

#[test]
fn what_a_build_writes_is_named_and_left_out() {
    for who in [As::Ourselves, As::Anybody] {
        let sandbox = Sandbox::new();
        sandbox.write("app.py", "1");
        let build = ["--build", "sleep 0.4; date +%N > built.json"];
        let run = start(&sandbox, &build, "exec sleep 1000", who);
        run.wait_for_line("it no longer restarts the server");
        let settled = settle(&sandbox, Duration::from_millis(1500));
        restarts_once(&sandbox, &run, "app.py", "2", settled, Duration::from_millis(1500));
    }
}

/// While devrun is stopped by its terminal, it must hold nobody up.
#[test]
fn a_stopped_devrun_lets_everybody_write() {
    let sandbox = Sandbox::new();
    sandbox.write("src/app.py", "1");
    let run = start(&sandbox, &[], IN_PLACE, As::Anybody);
    run.wait_for_line("it no longer restarts the server");
    let settled = settle(&sandbox, Duration::from_millis(500));
    let (pid, file) = (run.pid(), sandbox.path("src/cache.json"));
    let signal = |name: &str| std::process::Command::new("kill").args([name, &pid.to_string()]).status();
    signal("-TSTP").unwrap();
    wait_until("devrun is stopped", || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit(')').next().unwrap().starts_with(" T")
    });
    // A lease that nobody gives up holds a writer for 45 s.
    let writer = std::thread::spawn(move || std::fs::write(file, "by hand").unwrap());
    wait_until("the file is written", || writer.is_finished());
    signal("-CONT").unwrap();
    wait_until("the edit restarts", || starts(&sandbox) == settled + 1);
}

#[test]
#[ignore = "needs root"]
fn what_nobody_can_tell_of_is_named_and_slowed_down() {
    if !is_told() {
        return eprintln!("skipped: this container's root cannot play a stranger");
    }
    let sandbox = Sandbox::new();
    sandbox.write("src/cache.json", "1");
    std::os::unix::fs::chown(sandbox.path("src/cache.json"), Some(65534), None).unwrap();
    let run = start(&sandbox, &[], IN_PLACE, As::Stranger);
    run.wait_for_line("src/cache.json changed right after each of the last 3 starts");
    run.wait_for_line("the restart waits a little");
    run.wait_for_line("/src/cache.json");
}

/// A script saves right after each start, so many times: each save is in a generation that started after it, and soon.
fn scripted(mode: &[&str], line: &str, pause: Duration, who: As) {
    let sandbox = Sandbox::new();
    sandbox.write("app.py", "0");
    sandbox.write(".watchignore", "*.log\n");
    let run = start(&sandbox, mode, line, who);
    let mut slowest = Duration::ZERO;
    for time in 1..=15 {
        wait_until("it is up", || starts(&sandbox) >= time);
        std::thread::sleep(pause);
        let saved = Instant::now();
        sandbox.write("app.py", format!("{time}"));
        let deadline = Instant::now() + Duration::from_secs(20);
        wait_until("the save restarts", || {
            assert!(Instant::now() < deadline, "save {time} was lost, {mode:?} {line}: {:#?}", run.lines());
            starts(&sandbox) > time
        });
        slowest = slowest.max(saved.elapsed());
    }
    assert_eq!(settle(&sandbox, Duration::from_millis(500)), 16, "{:#?}", run.lines());
    // A stat scan and a busy machine take their share.
    assert!(slowest < Duration::from_millis(2500), "{slowest:?}: {:#?}", run.lines());
    assert_eq!(run.count("right after each"), 0, "{:#?}", run.lines());
}

#[test]
fn scripted_edits_right_after_each_start_are_neither_lost_nor_slow() {
    for (mode, who) in MODES.iter().flat_map(|mode| [(mode, As::Ourselves), (mode, As::Anybody)]) {
        scripted(mode, "exec sleep 1000", Duration::from_millis(200), who);
        scripted(mode, "echo hello; echo more > server.log; exec sleep 1000", Duration::ZERO, who);
    }
}

#[test]
fn devruns_own_output_restarts_nothing() {
    for (mode, way) in
        MODES.iter().flat_map(|mode| [(mode, "> out.log 2>&1"), (mode, "--log-format json 2> events.json")])
    {
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
        let _run = Running::start(&mut command);
        wait_until("it is up", || starts(&sandbox) == 1);
        sandbox.write("app.py", "2");
        wait_until("an edit restarts", || starts(&sandbox) == 2);
        assert_eq!(settle(&sandbox, Duration::from_millis(800)), 2);
    }
}

/// A devrun that is not the test's own child but wrote its number into this file; it ends with the test.
struct Elsewhere(PathBuf);

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let Ok(pid) = std::fs::read_to_string(&self.0) else { return };
        let _ = std::process::Command::new("kill").arg(pid.trim()).status();
    }
}

#[test]
#[ignore = "needs root"]
fn output_that_another_process_writes_for_devrun_loops_no_longer() {
    let sandbox = Sandbox::new();
    let devrun = Elsewhere(sandbox.outside().join("pid"));
    let line = format!(
        "{} -v --mode stat --poll-interval 100ms -- sh -c 'echo $PPID > {}; echo up >> {}; exec sleep 1000' 2>&1 \
         | tee out.log",
        env!("CARGO_BIN_EXE_devrun"),
        devrun.0.display(),
        starts_file(&sandbox).display()
    );
    let mut command = sandbox.command("sh");
    command.args(["-c", &line]);
    let run = Running::start(&mut command);
    run.wait_for_line("it no longer restarts the server");
    assert!(settle(&sandbox, Duration::from_millis(800)) <= 4, "{:#?}", run.lines());
}

#[test]
fn with_on_loop_restart_nothing_is_left_out() {
    let sandbox = Sandbox::new();
    sandbox.write("src/app.py", "1");
    let run = start(&sandbox, &["--on-loop", "restart"], IN_PLACE, As::Ourselves);
    wait_until("it goes on restarting", || starts(&sandbox) >= 8);
    assert_eq!(run.count("right after each"), 0, "{:#?}", run.lines());
}
