//! Queue overflows and exhausted limits: the watch loses no change and reports the limit.
//!
//! The watch runs in a second process of this test binary, so that a test can stop it and limit its
//! resources.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use devrun::rules;
use devrun::watch::{Event, Mode, Options, Watch};

use crate::support::process::TestProcess;
use crate::support::sandbox::{Sandbox, wait_until};

const TREE: &str = "DEVRUN_TEST_TREE";

/// The second process: it watches and prints each event.
#[test]
#[ignore = "needs to be started by the other tests here"]
fn limited_process() {
    let Some(tree) = std::env::var_os(TREE).map(PathBuf::from) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut options = Options::new(rules::Options::new(&tree));
        options.mode = Mode::Auto;
        let mut watch = Watch::start(options).await.unwrap();
        println!("watching {} of {}", watch.summary().watches, watch.summary().directories);
        while let Some(event) = watch.next_event().await {
            match event {
                Event::Changed(batch) => {
                    println!("batch of {}", batch.changes.len());
                    for change in batch.changes {
                        println!("{} {}.", change.kind, change.path.strip_prefix(&tree).unwrap().display());
                    }
                }
                Event::Warning { message, .. } => println!("warning: {message}"),
                Event::Rescanned { files, .. } => println!("rescanned {files}"),
                Event::ModeChanged(report) => println!("mode {:?} {:?}", report.mode, report.why),
                _ => {}
            }
        }
    });
}

fn limited_command(sandbox: &Sandbox) -> Command {
    let mut command = sandbox.command(std::env::current_exe().unwrap());
    command.env(TREE, sandbox.root());
    command.args(["watch::limits::limited_process", "--exact", "--ignored", "--nocapture"]);
    command
}

/// The same command in a user namespace with a limit on watches or instances.
fn limited_to(sandbox: &Sandbox, limit: &str, count: usize) -> Command {
    let inner = limited_command(sandbox);
    let mut command = sandbox.command("unshare");
    let script = format!("echo {count} > /proc/sys/user/{limit} && exec \"$@\"");
    command.args(["--user", "--map-root-user", "sh", "-c", &script, "sh"]);
    command.arg(inner.get_program()).args(inner.get_args()).env(TREE, sandbox.root());
    command
}

/// Whether each thread of a process is stopped by a signal.
fn is_stopped(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let stat = |path: PathBuf| std::fs::read_to_string(path.join("stat")).unwrap_or_default();
    threads.map(|thread| stat(thread.path())).all(|stat| stat.contains(") T "))
}

#[test]
fn an_overflow_of_the_queue_loses_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("app.py", "1");
    sandbox.write("src/lib.py", "1");
    let running = TestProcess::start(&mut limited_command(&sandbox));
    running.wait_for_line("watching 2 of 2");
    running.signal(19);
    wait_until("all of its threads are stopped", || is_stopped(running.pid()));
    let limit = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    // Only a close is an event. inotify merges equal events in a row, so the writes alternate between two files.
    let noise = [sandbox.write("noise-a", ""), sandbox.write("noise-b", "")];
    for number in 0..limit + 200 {
        drop(std::fs::File::options().append(true).open(&noise[number % 2]).unwrap());
    }
    sandbox.write("new/deep/f.py", "1");
    sandbox.write("app.py", "the last edit");
    running.signal(18);
    running.wait_for_line("rescanned");
    running.wait_for_line("changed app.py.");
    running.wait_for_line("created new/deep/f.py.");
    // Later events arrive.
    sandbox.write("new/deep/f.py", "2");
    running.wait_for_line("changed new/deep/f.py.");
    assert_eq!(running.count("rescanned"), 1);
}

#[test]
#[ignore = "needs user namespaces"]
fn exhausted_watches_degrade_to_scanning() {
    let sandbox = Sandbox::new();
    for number in 0..30 {
        sandbox.write(format!("d{number}/f.py"), "1");
    }
    let running = TestProcess::start(&mut limited_to(&sandbox, "max_inotify_watches", 10));
    running.wait_for_line("watching 10 of 31");
    running.wait_for_line("warning: ");
    for number in 0..30 {
        sandbox.write(format!("d{number}/f.py"), "2");
        running.wait_for_line(&format!("changed d{number}/f.py."));
    }
    sandbox.write("d7/new/deep.py", "1");
    running.wait_for_line("created d7/new/deep.py.");
    assert_eq!(running.count("warning: "), 1, "{:?}", running.lines());
    // After the removal of half of the tree, there are enough watches for the rest.
    (0..25).for_each(|number| std::fs::remove_dir_all(sandbox.path(format!("d{number}"))).unwrap());
    running.wait_for_line("mode Event");
    sandbox.write("d29/f.py", "3");
    running.wait_for_count("changed d29/f.py.", 2);
}

#[test]
#[ignore = "needs user namespaces"]
fn exhausted_instances_degrade_to_scanning() {
    let sandbox = Sandbox::new();
    sandbox.write("d/f.py", "1");
    let running = TestProcess::start(&mut limited_to(&sandbox, "max_inotify_instances", 0));
    running.wait_for_line("watching 0 of 2");
    running.wait_for_line("warning: ");
    sandbox.write("d/f.py", "2");
    running.wait_for_line("changed d/f.py.");
    sandbox.write("e/f.py", "2");
    running.wait_for_line("created e/f.py.");
}

/// The number of wake-ups of the process's threads so far: of the watch threads, or of all threads.
fn wakeups(pid: u32, all: bool) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let of = |task: PathBuf| {
        let name = std::fs::read_to_string(task.join("comm")).unwrap_or_default();
        let status = std::fs::read_to_string(task.join("status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        let count = line.map_or(0, |count| count.trim().parse().unwrap());
        let watches = name.starts_with("devrun-watch") || name.starts_with("devrun-events");
        if all || watches { count } else { 0 }
    };
    tasks.map(|task| of(task.unwrap().path())).sum()
}

/// The number of inotify watches of the process.
fn watches(pid: u32) -> usize {
    let infos = std::fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap();
    let texts = infos.map(|info| std::fs::read_to_string(info.unwrap().path()).unwrap_or_default());
    texts.map(|text| text.lines().filter(|line| line.starts_with("inotify wd:")).count()).sum()
}

#[test]
fn ignored_files_reads_and_idling_cost_no_wakeup_and_no_watch() {
    let sandbox = Sandbox::new();
    sandbox.write(".watchignore", "downloads/\n");
    sandbox.write("downloads/deep/x", "1");
    sandbox.write("src/a/b.py", "1");
    let running = TestProcess::start(&mut limited_command(&sandbox));
    running.wait_for_line("watching 3 of 3");
    assert_eq!(watches(running.pid()), 3);
    // The watch reports one change completely, so that no work of its start remains.
    sandbox.write("src/a/b.py", "2");
    running.wait_for_line("changed src/a/b.py.");
    let before = wakeups(running.pid(), false);
    for number in 0..20_000 {
        sandbox.write(format!("downloads/deep/{}/{number}", number % 100), "ignored");
    }
    for _ in 0..100 {
        std::fs::read(sandbox.path("src/a/b.py")).unwrap();
        std::fs::read_dir(sandbox.path("src/a")).unwrap().count();
    }
    std::fs::remove_dir_all(sandbox.path("downloads/deep")).unwrap();
    // The thread may not sleep yet when the batch arrives.
    assert!(wakeups(running.pid(), false) - before <= 2, "{before} {}", wakeups(running.pid(), false));
    assert_eq!(watches(running.pid()), 3);
}

/// The processor time of the process, in milliseconds.
fn cpu(pid: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let text =
        |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
    let nanoseconds = tasks
        .map(|task| text(task.unwrap()).split(' ').next().and_then(|used| used.parse().ok()).unwrap_or(0));
    nanoseconds.sum::<u64>() / 1_000_000
}

#[test]
fn the_removal_of_a_big_tree_takes_linear_time() {
    let sandbox = Sandbox::new();
    for number in 0..6000 {
        std::fs::create_dir_all(sandbox.path(format!("big/{}/d{number}", number % 60))).unwrap();
    }
    sandbox.write("app.py", "1");
    let running = TestProcess::start(&mut limited_command(&sandbox));
    running.wait_for_line("watching 6062 of 6062");
    let before = cpu(running.pid());
    std::fs::remove_dir_all(sandbox.path("big")).unwrap();
    sandbox.write("app.py", "2");
    running.wait_for_line("changed app.py.");
    wait_until("the watches are gone", || watches(running.pid()) == 1);
    // The removal once took 5 s and more, because each removed directory made the watch look at all others.
    let used = cpu(running.pid()) - before;
    assert!(used < 3000, "{used} ms");
}

#[test]
fn waiting_for_git_is_no_busy_loop() {
    let sandbox = Sandbox::new();
    sandbox.git(&["init", "-q"]);
    sandbox.write("app.py", "1");
    let running = TestProcess::start(&mut limited_command(&sandbox));
    running.wait_for_line("watching 2 of 1");
    let lock = sandbox.write(".git/index.lock", "");
    let before = cpu(running.pid());
    let begun = std::time::Instant::now();
    while begun.elapsed() < std::time::Duration::from_secs(2) {
        sandbox.write("app.py", format!("{:?}", begun.elapsed()));
        std::thread::sleep(std::time::Duration::from_millis(3));
    }
    let used = cpu(running.pid()) - before;
    std::fs::remove_file(lock).unwrap();
    running.wait_for_line("changed app.py.");
    assert!(used < 1000, "{used} ms of 2 s");
    assert_eq!(running.count("batch of"), 1, "{:?}", running.lines());
}

#[cfg(all(feature = "cli", feature = "proxy"))]
#[test]
fn the_whole_program_sleeps_while_nothing_relevant_happens() {
    let sandbox = Sandbox::new();
    sandbox.write(".watchignore", "downloads/\n");
    sandbox.write("downloads/deep/x", "1");
    sandbox.write("src/a/b.py", "1");
    let child = crate::support::sandbox::example("child");
    let mut command = sandbox.devrun();
    command.args(["--log-format", "json", "--proxy", "127.0.0.1:0", "--"]).arg(child).arg("serve");
    let running = TestProcess::start(&mut command);
    running.wait_for_line("\"event\":\"ready\"");
    sandbox.write("src/a/b.py", "2");
    running.wait_for_count("\"event\":\"ready\"", 2);
    let pid = running.pid();
    // The work of the start has ended when no thread wakes up for a second.
    let still = |time: u64| {
        let before = wakeups(pid, true);
        std::thread::sleep(std::time::Duration::from_millis(time));
        wakeups(pid, true) - before
    };
    wait_until("all threads sleep", || still(1000) == 0);
    let before = wakeups(pid, true);
    for number in 0..2000 {
        sandbox.write(format!("downloads/deep/{}/{number}", number % 100), "ignored");
        std::fs::read(sandbox.path("src/a/b.py")).unwrap();
    }
    assert_eq!(wakeups(pid, true) - before, 0);
    assert_eq!(still(4000), 0);
    // Root, src, src/a; .git does not exist.
    assert_eq!(watches(pid), 3);
}

/// The command as a process for which the mode bits of the tester's files count; `None` if none can be started.
/// In a user namespace without a mapping, root has no privilege for these files.
fn unprivileged_command(sandbox: &Sandbox) -> Option<Command> {
    let inner = limited_command(sandbox);
    if !rustix::process::geteuid().is_root() {
        return Some(inner);
    }
    let may_unshare = Command::new("unshare").args(["--user", "true"]).status();
    if !may_unshare.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no namespaces here");
        return None;
    }
    let mut command = sandbox.command("unshare");
    command.arg("--user").arg(inner.get_program()).args(inner.get_args()).env(TREE, sandbox.root());
    Some(command)
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Time for all directories of a test, of which a watch that retries would need this for each.
const RETRY_DELAY: Duration = Duration::from_secs(30);

#[test]
fn a_closed_directory_is_read_as_soon_as_it_is_opened() {
    let sandbox = Sandbox::new();
    let closed = [("a", 0o000), ("b", 0o400), ("c", 0o100), ("d/e", 0o000), ("f", 0o600)];
    for (dir, mode) in closed {
        sandbox.write(format!("{dir}/inner/f.py"), "1");
        sandbox.write(format!("{dir}/g.py"), "1");
        set_mode(&sandbox.path(dir), mode);
    }
    let Some(mut command) = unprivileged_command(&sandbox) else { return };
    let running = TestProcess::start(&mut command);
    running.wait_for_line("watching");
    let started = Instant::now();
    for (dir, _) in closed {
        set_mode(&sandbox.path(dir), 0o700);
        running.wait_for_line(&format!("created {dir}/inner/f.py."));
        running.wait_for_line(&format!("created {dir}/g.py."));
        sandbox.write(format!("{dir}/inner/f.py"), "22");
        running.wait_for_line(&format!("changed {dir}/inner/f.py."));
    }
    assert!(started.elapsed() < RETRY_DELAY * closed.len() as u32 / 2, "{:?}", started.elapsed());
}

#[test]
fn a_root_that_cannot_be_read_is_read_as_soon_as_it_is_opened() {
    let sandbox = Sandbox::new();
    sandbox.write("src/f.py", "1");
    let started = Instant::now();
    for round in 0..3 {
        set_mode(sandbox.root(), 0o000);
        let Some(mut command) = unprivileged_command(&sandbox) else {
            return set_mode(sandbox.root(), 0o700);
        };
        let running = TestProcess::start(command.current_dir("/"));
        running.wait_for_line("watching");
        set_mode(sandbox.root(), 0o700);
        running.wait_for_line("created src/f.py.");
        sandbox.write("src/f.py", format!("round {round}"));
        running.wait_for_line("changed src/f.py.");
    }
    assert!(started.elapsed() < RETRY_DELAY * 2, "{:?}", started.elapsed());
}

#[test]
fn a_write_into_a_directory_that_is_closed_meanwhile_is_not_lost() {
    let sandbox = Sandbox::new();
    sandbox.write("fence.py", "1");
    sandbox.write("a/b/f.py", "1");
    let Some(mut command) = unprivileged_command(&sandbox) else { return };
    let running = TestProcess::start(&mut command);
    running.wait_for_line("watching");
    let started = Instant::now();
    for (round, dir) in ["a", "a/b", "a"].iter().enumerate() {
        let mut file = std::fs::File::options().append(true).open(sandbox.path("a/b/f.py")).unwrap();
        set_mode(&sandbox.path(dir), 0o000);
        file.write_all(b"2").unwrap();
        drop(file);
        sandbox.write("fence.py", format!("round {round}"));
        running.wait_for_count("changed fence.py.", round + 1);
        assert_eq!(running.count("a/b/f.py."), round, "{:?}", running.lines());
        set_mode(&sandbox.path(dir), 0o700);
        running.wait_for_count("changed a/b/f.py.", round + 1);
    }
    assert!(started.elapsed() < RETRY_DELAY * 2, "{:?}", started.elapsed());
}
