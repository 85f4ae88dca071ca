//! The child through the program: no process survives devrun, and any signal may end it.

use crate::support::http::free_address;
use crate::support::process::TestProcess;
use crate::support::sandbox::{Sandbox, example, lives, wait_until};

/// Steps of processes that ignore all signals: in devrun's group, in another group, in another session, and
/// as an orphan.
const STUBBORN: &str = "ignore 15 ignore 2 ignore 1 ignore 3 log {}/log up \
    fork setpgid log {}/log group sleep end fork setsid log {}/log session sleep end \
    daemon setsid log {}/log orphan sleep end sleep";

fn pids(sandbox: &Sandbox) -> Vec<i32> {
    let log = std::fs::read_to_string(sandbox.outside().join("log")).unwrap_or_default();
    log.lines().filter_map(|line| line.split(' ').nth(1)?.parse().ok()).collect()
}

fn start(sandbox: &Sandbox, options: &[&str], steps: &str) -> TestProcess {
    let outside = sandbox.outside();
    let mut command = sandbox.command(example("child"));
    // devrun inherits the signals that the test runner ignores, so they are set to their defaults.
    command.args("default 1 default 2 default 3 exec".split(' ')).arg(env!("CARGO_BIN_EXE_devrun"));
    command.args(options).arg("--").arg(example("child"));
    command.args(steps.split_whitespace().map(|word| word.replace("{}", outside.to_str().unwrap())));
    TestProcess::start(&mut command)
}

#[test]
fn no_process_survives_any_end_of_devrun() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGKILL] {
        let sandbox = Sandbox::new();
        let mut run = start(&sandbox, &["--stop-timeout", "200ms"], STUBBORN);
        wait_until("all four have started", || pids(&sandbox).len() == 4);
        run.signal(signal);
        let status = run.wait();
        if signal == libc::SIGKILL {
            wait_until("no process is left", || pids(&sandbox).iter().all(|pid| !lives(*pid)));
        }
        assert!(pids(&sandbox).iter().all(|pid| !lives(*pid)), "after signal {signal}: {:#?}", run.lines());
        let died = std::os::unix::process::ExitStatusExt::signal(&status);
        assert_eq!(died, Some(signal), "{status:?}");
    }
}

#[test]
fn a_process_without_session_parent_and_environment_is_ended() {
    let sandbox = Sandbox::new();
    let steps = "ignore 15 log {}/log up daemon clearenv setsid log {}/log bare sleep end sleep";
    let mut run = start(&sandbox, &["--stop-timeout", "200ms"], steps);
    wait_until("both have started", || pids(&sandbox).len() == 2);
    run.stop();
    assert!(pids(&sandbox).iter().all(|pid| !lives(*pid)), "{:#?}", run.lines());
}

/// The successor of a process that forks and exits at once is missed by any single look at `/proc`.
#[test]
fn a_chain_of_forks_does_not_outlive_its_generation() {
    for chain in ["fork hop {}/log end", "fork setsid hop {}/log end", "fork ignore 15 setsid hop {}/log end"]
    {
        let sandbox = Sandbox::new();
        let steps = format!("log {{}}/log up {chain} sleep");
        let mut run = start(&sandbox, &["--on-loop", "restart", "--stop-timeout", "100ms"], &steps);
        let log = || std::fs::read_to_string(sandbox.outside().join("log")).unwrap_or_default();
        let has = |text: &str, generation: u32| {
            let end = format!(" {generation}");
            log().lines().any(|line| line.starts_with(text) && line.ends_with(&end))
        };
        for generation in 1..=10 {
            wait_until("the chain has begun", || has("up", generation) && has("hop", generation));
            sandbox.write("app.py", format!("{generation}"));
        }
        wait_until("the last generation has started", || has("up", 11));
        run.stop();
        assert!(of_sandbox(&sandbox).is_empty());
        let mut newest = 0;
        for line in log().lines() {
            let generation: u32 = line.rsplit(' ').next().unwrap().parse().unwrap();
            assert!(generation >= newest, "{chain}: {line} after the start of generation {newest}");
            newest = newest.max(generation);
        }
    }
}

#[test]
fn children_from_before_the_start_are_reaped_and_not_signalled() {
    for prefix in ["", "setsid "] {
        let sandbox = Sandbox::new();
        let outside = sandbox.outside();
        let [log, end] = ["log", "end"].map(|name| outside.join(name).to_str().unwrap().to_owned());
        let mut command = sandbox.command("sh");
        // Two children, one of which outlives devrun.
        let script = format!(
            "\"$0\" {prefix}on 15 {log} signalled log {log} early await {end} exit 0 & \
             \"$0\" {prefix}on 15 {log} signalled log {log} early await {end}.late exit 0 & \
             exec \"$1\" -- \"$0\" log {log} up sleep"
        );
        command.arg("-c").arg(script).arg(example("child")).arg(env!("CARGO_BIN_EXE_devrun"));
        let mut run = TestProcess::start(&mut command);
        wait_until("all three have started", || pids(&sandbox).len() == 3);
        sandbox.write("app.py", "1");
        wait_until("the second generation has started", || pids(&sandbox).len() == 4);
        std::fs::write(&end, "").unwrap();
        // The orphan killer, the second child and COMMAND.
        wait_until("the child is reaped", || children(run.pid() as i32).len() == 3);
        run.stop();
        let text = std::fs::read_to_string(&log).unwrap();
        let early =
            text.lines().filter_map(|line| line.strip_prefix("early ")?.split(' ').next()?.parse().ok());
        let left: Vec<i32> = early.filter(|pid| lives(*pid)).collect();
        assert_eq!(left.len(), 1, "{text}");
        assert!(!text.contains("signalled"), "{text}");
        std::fs::write(format!("{end}.late"), "").unwrap();
        wait_until("it ends by itself", || !lives(left[0]));
    }
}

#[test]
#[ignore = "needs root"]
fn a_process_of_another_user_is_named_and_no_second_one_starts() {
    use std::os::unix::fs::PermissionsExt as _;

    let sandbox = Sandbox::new();
    let outside = sandbox.outside();
    let mode = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for dir in [outside.as_path(), sandbox.root(), outside.parent().unwrap()] {
        mode(dir, 0o777);
    }
    let [server, devrun, log] = ["server", "devrun", "log"].map(|name| outside.join(name));
    std::fs::copy(example("child"), &server).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_devrun"), &devrun).unwrap();
    mode(&server, 0o4755);
    let mut command = sandbox.command("setpriv");
    command.args(["--reuid", "65534", "--clear-groups", "--"]).arg(&devrun);
    command.args(["--stop-timeout", "100ms", "--"]).arg(&server);
    command.args(["setuid", "log", log.to_str().unwrap(), "up", "sleep"]);
    let mut run = TestProcess::start(&mut command);
    wait_until("the first generation has started", || pids(&sandbox).len() == 1);
    sandbox.write("app.py", "1");
    let first = pids(&sandbox)[0];
    run.wait_for_line(&format!("process {first} runs as root and cannot be stopped"));
    // Nothing starts, although the time for SIGKILL and the time to give up are over.
    std::thread::sleep(std::time::Duration::from_secs(7));
    assert_eq!(pids(&sandbox).len(), 1, "{:#?}", run.lines());
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(first).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    wait_until("the second generation has started", || pids(&sandbox).len() == 2);
    run.stop();
    let second = pids(&sandbox)[1];
    run.wait_for_line(&format!("process {second} goes on running"));
    assert_eq!(run.count("hangs in the kernel"), 0, "{:#?}", run.lines());
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(second).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
}

#[test]
fn without_pidfds_a_change_restarts_and_a_stop_ends_all() {
    let sandbox = Sandbox::new();
    let outside = sandbox.outside();
    sandbox.write("app.py", "1");
    let mut command = sandbox.command(example("child"));
    command.args(["refuse-pidfds", "exec", env!("CARGO_BIN_EXE_devrun"), "--"]).arg(example("child"));
    command.args(["log", outside.join("log").to_str().unwrap(), "up", "sleep"]);
    let mut run = TestProcess::start(&mut command);
    wait_until("the first generation has started", || pids(&sandbox).len() == 1);
    sandbox.write("app.py", "2");
    wait_until("the second generation has started", || pids(&sandbox).len() == 2);
    run.stop();
    assert!(pids(&sandbox).iter().all(|pid| !lives(*pid)), "{:#?}", run.lines());
}

/// The process number of devrun's orphan killer.
#[cfg(target_os = "linux")]
fn orphan_killer_of(devrun: u32) -> Option<String> {
    let words = format!("orphan-killer\0--parent\0{devrun}\0");
    let names = std::fs::read_dir("/proc").unwrap().flatten();
    let mut pids = names.filter_map(|entry| entry.file_name().into_string().ok());
    pids.find(|pid| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == words))
}

#[test]
#[cfg(target_os = "linux")]
fn the_orphan_killer_has_its_own_session_and_none_of_devruns_descriptors() {
    let sandbox = Sandbox::new();
    let mut run = TestProcess::start(sandbox.devrun().args(["--", "sleep", "1000"]));
    run.wait_for_line("started");
    let killer = crate::support::sandbox::wait_for("the orphan killer runs", || orphan_killer_of(run.pid()));
    let link = |file: &str| std::fs::read_link(format!("/proc/{killer}/{file}")).unwrap();
    let stat = || std::fs::read_to_string(format!("/proc/{killer}/stat")).unwrap();
    let session = || stat().rsplit_once(')').unwrap().1.split_whitespace().nth(3).map(str::to_owned);
    wait_until("the orphan killer leads its session", || session().as_ref() == Some(&killer));
    let open = || std::fs::read_dir(format!("/proc/{killer}/fd")).unwrap().count();
    wait_until("only its three standard streams are open", || open() == 3);
    assert!(link("fd/0").to_str().unwrap().starts_with("pipe:"));
    assert_eq!(
        [link("fd/1"), link("fd/2"), link("cwd")],
        ["/dev/null", "/dev/null", "/"].map(std::path::PathBuf::from)
    );
    let killer: i32 = killer.parse().unwrap();
    let pid = rustix::process::Pid::from_raw(killer).unwrap();
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM, rustix::process::Signal::HUP]
    {
        rustix::process::kill_process(pid, signal).unwrap();
    }
    run.stop();
    wait_until("the orphan killer ends with devrun", || !lives(killer));
}

/// Kills devrun again and again at changing moments. One process of its tree has left its group, session and
/// parent.
fn kill_again_and_again(times: u32) {
    for time in 0..times {
        let sandbox = Sandbox::new();
        let steps = "log {}/log up daemon setsid log {}/log bare sleep end sleep";
        let mut run = start(&sandbox, &[], steps);
        match time % 4 {
            // At once, after the first process has started, or after both.
            0 => wait_until("the first has started", || !pids(&sandbox).is_empty()),
            _ => wait_until("both have started", || pids(&sandbox).len() == 2),
        }
        std::thread::sleep(std::time::Duration::from_millis(u64::from(time % 3) * 7));
        run.signal(libc::SIGKILL);
        run.wait();
        wait_until("no process is left", || of_sandbox(&sandbox).is_empty());
    }
}

/// The processes whose command line names this sandbox, also without a line in the log.
fn of_sandbox(sandbox: &Sandbox) -> Vec<i32> {
    let name = sandbox.outside().to_str().unwrap().as_bytes().to_owned();
    let named = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.windows(name.len()).any(|window| window == name) && lives(*pid)
    };
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(named).collect()
}

#[test]
fn a_killed_devrun_leaves_no_process_that_left_group_session_and_parent() {
    kill_again_and_again(8);
}

#[test]
#[ignore = "needs half a minute"]
fn two_hundred_kills_leave_no_process() {
    kill_again_and_again(200);
}

/// Whether the test may create namespaces on this machine.
fn may_unshare() -> bool {
    let mut unshare = std::process::Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "true"]);
    let may = unshare.output().is_ok_and(|output| output.status.success());
    if !may {
        eprintln!("skipped: no namespaces here");
    }
    may
}

/// devrun as the first process of a PID namespace, with a new `/proc` or the outer one.
struct First {
    sandbox: Sandbox,
    run: TestProcess,
}

impl First {
    fn start(options: &[&str], steps: &str, own_proc: bool) -> Self {
        let sandbox = Sandbox::new();
        let outside = sandbox.outside();
        let mut command = sandbox.command("unshare");
        command.args(["--user", "--map-root-user", "--pid", "--fork", "--kill-child"]);
        command.args(own_proc.then_some("--mount-proc"));
        command.arg(env!("CARGO_BIN_EXE_devrun")).args(options).arg("--").arg(example("child"));
        command.args(steps.split_whitespace().map(|word| word.replace("{}", outside.to_str().unwrap())));
        let run = TestProcess::start(&mut command);
        Self { sandbox, run }
    }

    /// devrun's process number outside of the namespace.
    fn pid(&self) -> i32 {
        crate::support::sandbox::wait_for("devrun is there", || {
            children(self.run.pid() as i32).first().copied()
        })
    }

    fn logged(&self, text: &str) -> usize {
        let log = std::fs::read_to_string(self.sandbox.outside().join("log")).unwrap_or_default();
        log.lines().filter(|line| line.starts_with(text)).count()
    }
}

fn children(pid: i32) -> Vec<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

#[test]
#[ignore = "needs root or user namespaces"]
fn devrun_as_init_reaps_and_restarts() {
    if !may_unshare() {
        return;
    }
    for own_proc in [true, false] {
        let steps = "log {}/log up daemon wait 5 end daemon setsid wait 1 end \
            daemon setpgid wait 20 end log {}/log all sleep";
        let mut first = First::start(&["--stop-timeout", "200ms"], steps, own_proc);
        let pid = first.pid();
        for generation in 1..=5 {
            wait_until("the generation has started", || first.logged("all") == generation);
            wait_until("the orphans are reaped", || children(pid).into_iter().all(lives));
            // The two children are the orphan killer and COMMAND.
            wait_until("no other process is left", || children(pid).len() == 2);
            first.sandbox.write("app.py", format!("{generation}"));
        }
        wait_until("the generation has started", || first.logged("all") == 6);
        first.run.signal(libc::SIGKILL);
        first.run.wait();
        wait_until("no process is left", || of_sandbox(&first.sandbox).is_empty());
        assert_eq!(first.run.count("panicked"), 0, "{:#?}", first.run.lines());
    }
}

#[test]
#[ignore = "needs root or user namespaces"]
fn devrun_as_init_keeps_the_status_of_its_child() {
    if !may_unshare() {
        return;
    }
    for own_proc in [true, false] {
        for _ in 0..10 {
            let steps = "daemon wait 1 end fork wait 1 end wait 3 exit 3";
            let mut first = First::start(&["--on-exit", "quit"], steps, own_proc);
            let status = first.run.wait();
            first.run.wait_for_line("exited with status 3");
            assert_eq!(status.code(), Some(3), "{:#?}", first.run.lines());
            assert!(of_sandbox(&first.sandbox).is_empty());
        }
    }
}

/// The session's leader has no number in the namespace.
#[test]
#[ignore = "needs root or user namespaces"]
fn devrun_as_init_finds_a_server_on_another_address() {
    if !may_unshare() {
        return;
    }
    let address = free_address();
    let steps = format!("log {{}}/log up serve-at {}", address.port());
    let mut first = First::start(&["--proxy", "127.0.0.1:0"], &steps, true);
    first.run.wait_for_line(&format!("the server listens on {address}"));
    first.run.wait_for_line("ready in");
    first.run.signal(libc::SIGKILL);
    first.run.wait();
}
