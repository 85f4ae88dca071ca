//! The child through the program: nobody survives devrun, by whatever signal it ends.

use crate::sandbox::{Running, Sandbox, example, wait_until};
use crate::supervise::lives;

/// Ignores what can be ignored, in its own group, in another group, in another session, and as an orphan.
const STUBBORN: &str = "ignore 15 ignore 2 ignore 1 ignore 3 log {}/log up \
    fork setpgid log {}/log group sleep end fork setsid log {}/log session sleep end \
    daemon setsid log {}/log orphan sleep end sleep";

fn pids(sandbox: &Sandbox) -> Vec<i32> {
    let log = std::fs::read_to_string(sandbox.outside().join("log")).unwrap_or_default();
    log.lines().filter_map(|line| line.split(' ').nth(1)?.parse().ok()).collect()
}

fn start(sandbox: &Sandbox, options: &[&str], steps: &str) -> Running {
    let outside = sandbox.outside();
    let mut command = sandbox.devrun();
    command.args(options).arg("--").arg(example("child"));
    command.args(steps.split_whitespace().map(|word| word.replace("{}", outside.to_str().unwrap())));
    Running::start(&mut command)
}

#[test]
fn no_survivor_however_it_ends() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGKILL] {
        let sandbox = Sandbox::new();
        let mut run = start(&sandbox, &["--stop-timeout", "200ms"], STUBBORN);
        wait_until("all four are up", || pids(&sandbox).len() == 4);
        run.signal(signal);
        let status = run.wait();
        if signal == libc::SIGKILL {
            wait_until("nobody is left", || pids(&sandbox).iter().all(|pid| !lives(*pid)));
        }
        assert!(pids(&sandbox).iter().all(|pid| !lives(*pid)), "after signal {signal}: {:#?}", run.lines());
        let died = std::os::unix::process::ExitStatusExt::signal(&status);
        assert_eq!(died, Some(signal), "{status:?}");
    }
}

#[test]
fn a_process_that_hides_everything_is_ended_too() {
    let sandbox = Sandbox::new();
    let steps = "ignore 15 log {}/log up daemon clearenv setsid log {}/log bare sleep end sleep";
    let mut run = start(&sandbox, &["--stop-timeout", "200ms"], steps);
    wait_until("both are up", || pids(&sandbox).len() == 2);
    run.stop();
    assert!(pids(&sandbox).iter().all(|pid| !lives(*pid)), "{:#?}", run.lines());
}
