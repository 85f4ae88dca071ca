//! Thousands of restarts: devrun's memory, descriptors and threads stay as they were.

use std::path::Path;

use crate::support::process::TestProcess;
use crate::support::sandbox::{Sandbox, wait_for, wait_until};

/// Resources of a process: resident memory in KiB, descriptors, children, zombies among them, threads.
#[derive(Debug, Clone, Copy)]
struct Holdings {
    memory: u64,
    descriptors: usize,
    children: usize,
    zombies: usize,
    threads: usize,
}

fn holdings(pid: u32) -> Holdings {
    let dir = format!("/proc/{pid}");
    let count = |name: &str| std::fs::read_dir(format!("{dir}/{name}")).map_or(0, Iterator::count);
    let status = std::fs::read_to_string(format!("{dir}/status")).unwrap_or_default();
    let memory =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
    let children = std::fs::read_to_string(format!("{dir}/task/{pid}/children")).unwrap_or_default();
    let zombies = children
        .split_whitespace()
        .filter(|pid| !crate::support::sandbox::lives(pid.parse().unwrap()))
        .count();
    let (descriptors, threads) = (count("fd"), count("task"));
    let children = children.split_whitespace().count();
    Holdings { memory: memory.unwrap_or(0), descriptors, children, zombies, threads }
}

fn entries(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

#[test]
#[cfg(target_os = "linux")]
#[ignore = "needs a minute"]
fn two_thousand_restarts_leave_no_resources_behind() {
    const RESTARTS: usize = 2000;
    for front in [false, true] {
        let sandbox = Sandbox::new();
        let temporary = sandbox.outside().join("temporary");
        std::fs::create_dir(&temporary).unwrap();
        let starts = sandbox.outside().join("starts");
        sandbox.write("app.py", "0");
        let mut command = sandbox.devrun();
        command.env("TMPDIR", &temporary).args(["-q", "--on-loop", "restart", "--env-file", "app.env"]);
        sandbox.write("app.env", "A=1");
        // With a proxy, a generation is ready when it listens. That takes longer, so the test does fewer
        // restarts.
        let (restarts, server) = match front {
            true => {
                (RESTARTS / 20, format!("exec {} serve", crate::support::sandbox::example("child").display()))
            }
            false => (RESTARTS, "exec sleep 1000".to_owned()),
        };
        command.args(front.then_some("--proxy=127.0.0.1:0"));
        command.args(["--", "sh", "-c", &format!("echo >> {}; {server}", starts.display())]);
        let run = TestProcess::start(&mut command);
        let started = || std::fs::metadata(&starts).map_or(0, |found| found.len() as usize);
        let mut before = None;
        for time in 1..=restarts {
            wait_until("the generation has started", || started() >= time);
            if time == restarts / 5 {
                before = Some(quiet(run.pid()));
            }
            sandbox.write("app.py", format!("{time}"));
        }
        wait_until("the last generation has started", || started() > restarts);
        let (before, after) = (before.unwrap(), quiet(run.pid()));
        eprintln!("front: {front}, restarts: {restarts}, after a fifth: {before:?}, at the end: {after:?}");
        assert!(after.descriptors <= before.descriptors + 1, "{before:?} {after:?}");
        assert_eq!(after.zombies, 0);
        assert!(after.threads <= before.threads + 1, "{before:?} {after:?}");
        assert!(after.memory <= before.memory + before.memory / 10 + 512, "{before:?} {after:?}");
        assert_eq!(entries(&temporary), 0);
        assert_eq!(entries(sandbox.root()), 2);
    }
}

/// The resources once all stops and starts have ended: only the orphan killer and one generation are left.
fn quiet(pid: u32) -> Holdings {
    let mut last = holdings(pid);
    wait_for("its resources stay the same for a while", || {
        std::thread::sleep(std::time::Duration::from_millis(500));
        let now = holdings(pid);
        let same = (now.descriptors, now.zombies) == (last.descriptors, 0) && now.children <= 2;
        last = now;
        same.then_some(now)
    })
}
