//! A program that embeds the supervisor and adopts orphans: no child process survives the program's end, and
//! zombies are reaped.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::support::sandbox::{Sandbox, example, lives, wait_until};

/// Steps of a child that leaves processes which ignore signals.
const STUBBORN: &str = "ignore 15 ignore 2 ignore 1 log {}/log up \
    fork setpgid log {}/log group sleep end fork setsid log {}/log session sleep end \
    daemon setsid log {}/log orphan sleep end log {}/log all sleep";

/// The helper program that runs a supervisor.
struct Supervised {
    sandbox: Sandbox,
    process: Child,
    stdin: ChildStdin,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Supervised {
    fn start(steps: &str, prefix: &[&str], options: &[&str]) -> Self {
        let sandbox = Sandbox::new();
        let root = sandbox.root().to_str().unwrap();
        let mut words: Vec<PathBuf> = prefix.iter().map(PathBuf::from).collect();
        words.push(example("supervised"));
        words.extend(options.iter().map(PathBuf::from));
        words.push(example("child"));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command.args(steps.split_whitespace().map(|word| word.replace("{}", root)));
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (stdin, stdout) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let collected = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                collected.lock().unwrap().push(line);
            }
        });
        Self { sandbox, process, stdin, lines }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    fn printed(&self, text: &str) -> usize {
        self.lines.lock().unwrap().iter().filter(|line| line.contains(text)).count()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.sandbox.path("log")).unwrap_or_default()
    }

    fn logged(&self, text: &str, count: usize) {
        wait_until(&format!("{count} lines {text:?} are logged"), || {
            self.log().lines().filter(|line| line.starts_with(text)).count() >= count
        });
    }

    fn survivors(&self) -> usize {
        let log = self.log();
        let pids = log.lines().filter_map(|line| line.split(' ').nth(1)?.parse().ok());
        let pids: std::collections::BTreeSet<i32> = pids.collect();
        pids.into_iter().filter(|pid| lives(*pid)).count()
    }

    fn zombies(&self) -> usize {
        let me = self.process.id();
        let children = std::fs::read_to_string(format!("/proc/{me}/task/{me}/children")).unwrap_or_default();
        children.split_whitespace().filter(|pid| !lives(pid.parse().unwrap())).count()
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_killed_embedder_leaves_no_process() {
    let mut run = Supervised::start(STUBBORN, &[], &[]);
    run.logged("all", 1);
    run.logged("orphan", 1);
    run.logged("session", 1);
    run.logged("group", 1);
    assert_eq!(run.survivors(), 4);
    run.process.kill().unwrap();
    run.process.wait().unwrap();
    wait_until("no process is left", || run.survivors() == 0);
}

#[test]
fn an_embedder_that_sets_no_option_leaves_no_process() {
    let child = example("child");
    let prefix = [child.to_str().unwrap(), "default", "2", "default", "15", "exec"];
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM, rustix::process::Signal::KILL]
    {
        let mut run = Supervised::start(STUBBORN, &prefix, &["--defaults"]);
        run.logged("all", 1);
        run.logged("orphan", 1);
        run.logged("session", 1);
        run.logged("group", 1);
        // The second generation alone is left.
        run.say("restart");
        for text in ["all", "orphan", "session", "group"] {
            run.logged(text, 2);
        }
        assert_eq!(run.survivors(), 4);
        rustix::process::kill_process(rustix::process::Pid::from_child(&run.process), signal).unwrap();
        assert!(!run.process.wait().unwrap().success());
        wait_until("no process is left", || run.survivors() == 0);
    }
}

#[test]
fn a_stopped_embedder_leaves_no_process_that_left_its_group() {
    let steps =
        STUBBORN.replace("log {}/log all", "daemon clearenv setsid log {}/log bare sleep end log {}/log all");
    let mut run = Supervised::start(&steps, &[], &[]);
    run.logged("bare", 1);
    run.logged("all", 1);
    run.say("stop");
    run.process.wait().unwrap();
    assert_eq!(run.survivors(), 0, "{}", run.log());
    wait_until("the blocking processes are named", || run.printed("Blocked") > 0);
}

#[test]
fn orphans_are_reaped_and_restarts_leave_no_zombies() {
    let steps =
        "log {}/log up daemon wait 5 end daemon setsid wait 1 end daemon wait 20 end log {}/log all sleep";
    let mut run = Supervised::start(steps, &[], &[]);
    for count in 1..=10 {
        run.logged("all", count);
        wait_until("the orphans are reaped", || run.zombies() == 0);
        run.say("change");
    }
    run.logged("all", 11);
    assert_eq!(run.printed("ran: "), 0);
    run.say("stop");
    assert!(run.process.wait().unwrap().success());
}
