//! Signals, typed commands and job control as a shell user expects them, under a real shell on a real terminal.

use crate::support::pty::{Pty, state, wait_for_state};
use crate::support::sandbox::{Sandbox, example, lives, wait_for, wait_until};

/// The helper child as words for the shell; `{}` is a directory outside of the project.
fn child(sandbox: &Sandbox, steps: &str) -> String {
    let outside = sandbox.outside();
    format!("{} {}", example("child").display(), steps.replace("{}", outside.to_str().unwrap()))
}

/// The processes that have logged this word, in order.
fn pids(sandbox: &Sandbox, word: &str) -> Vec<i32> {
    let log = std::fs::read_to_string(sandbox.outside().join("log")).unwrap_or_default();
    let lines = log.lines().filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
    lines.filter_map(|rest| rest.split(' ').next()?.parse().ok()).collect()
}

fn logged(sandbox: &Sandbox, word: &str, count: usize) -> Vec<i32> {
    wait_for(&format!("{word} is logged {count} times"), || {
        let pids = pids(sandbox, word);
        (pids.len() >= count).then_some(pids)
    })
}

/// The running devrun, which is the parent of its child.
fn parent(pid: i32) -> i32 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    text.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().parse().unwrap()
}

const FAMILY: &str = "log {}/log up fork log {}/log up sleep end fork setsid log {}/log up sleep end";

#[test]
fn ctrl_c_once_stops_gently_and_the_shell_sees_the_signal() {
    let sandbox = Sandbox::new();
    let script =
        "trap 'echo gentle; exit 0' TERM; trap 'echo rude' INT; echo up; while :; do sleep 0.05; done";
    std::fs::write(sandbox.path("server"), script).unwrap();
    let mut shell = Pty::shell(&sandbox);
    shell.run("devrun -- sh ./server");
    shell.expect("up\r\n");
    shell.send("\x03");
    let words = shell.expect("gentle\r\n");
    assert!(words.contains("stopping; press again to kill") && !words.contains("rude"), "{words}");
    assert_eq!(shell.status(), 130);
    assert_eq!(shell.modes(), (true, true));
}

#[test]
fn ctrl_c_twice_kills() {
    let sandbox = Sandbox::new();
    let mut shell = Pty::shell(&sandbox);
    let steps = "ignore 15 log {}/log up fork ignore 15 setsid log {}/log up sleep end sleep";
    shell.run(&format!("devrun --stop-timeout 10m -- {}", child(&sandbox, steps)));
    let up = logged(&sandbox, "up", 2);
    shell.send("\x03");
    shell.expect("press again to kill");
    assert!(up.iter().all(|pid| lives(*pid)));
    std::thread::sleep(std::time::Duration::from_millis(60));
    shell.send("\x03");
    assert_eq!(shell.status(), 130);
    assert!(up.iter().all(|pid| !lives(*pid)));
}

#[test]
fn the_quit_key_of_the_terminal_stops_gently_too() {
    let sandbox = Sandbox::new();
    let mut shell = Pty::shell(&sandbox);
    shell.run(&format!("devrun -- {}", child(&sandbox, FAMILY)));
    let up = logged(&sandbox, "up", 3);
    shell.send("\x1c");
    assert_eq!(shell.status(), 131);
    assert!(up.iter().all(|pid| !lives(*pid)));
}

#[test]
fn ctrl_z_stops_the_whole_tree_and_fg_continues_it() {
    let sandbox = Sandbox::new();
    let mut shell = Pty::shell(&sandbox);
    shell.run(&format!("devrun -- {}", child(&sandbox, FAMILY)));
    let up = logged(&sandbox, "up", 3);
    let devrun = parent(up[0]);
    for _ in 0..2 {
        shell.send("\x1a");
        // The title is the shell's own again.
        shell.expect("\x1b[23;2t");
        shell.expect("Stopped");
        for pid in up.iter().chain([&devrun]) {
            wait_for_state("everybody has stopped", *pid, &[Some('T')]);
        }
        assert_eq!(shell.modes(), (true, true));
        shell.run("fg");
        shell.expect("\x1b]2;devrun: ");
        for pid in &up {
            wait_for_state("everybody goes on", *pid, &[Some('S')]);
        }
        shell.line("w");
        shell.expect(" has not been restarted");
    }
    shell.line("q");
    assert_eq!(shell.status(), 0);
    assert!(up.iter().all(|pid| !lives(*pid)));
}

#[test]
fn bg_goes_on_without_commands_and_fg_brings_them_back() {
    let sandbox = Sandbox::new();
    let mut shell = Pty::shell(&sandbox);
    shell.run(&format!("devrun -- {}", child(&sandbox, "log {}/log up sleep")));
    let up = logged(&sandbox, "up", 1)[0];
    shell.send("\x1a");
    shell.expect("Stopped");
    shell.run("bg");
    wait_for_state("it goes on", up, &[Some('S')]);
    assert_eq!(shell.modes(), (true, true));
    sandbox.write("app.py", "one");
    logged(&sandbox, "up", 2);
    shell.run("fg");
    sandbox.write("app.py", "two");
    logged(&sandbox, "up", 3);
    shell.line("q");
    assert_eq!(shell.status(), 0);
}

#[test]
fn a_devrun_started_in_the_background_is_not_stopped() {
    let sandbox = Sandbox::new();
    let mut shell = Pty::shell(&sandbox);
    // `tostop` makes the terminal stop background processes that write.
    shell.run("stty tostop");
    shell.run(&format!("devrun -- {} &", child(&sandbox, "print hello log {}/log up sleep")));
    let up = logged(&sandbox, "up", 1)[0];
    let devrun = parent(up);
    for count in 2..4 {
        sandbox.write("app.py", count.to_string());
        logged(&sandbox, "up", count);
    }
    assert_ne!(state(devrun), Some('T'));
    shell.run("echo still $((1 + 1)) here");
    shell.expect("still 2 here");
    shell.run("fg");
    sandbox.write("app.py", "again");
    shell.send("\x03");
    assert_eq!(shell.status(), 130);
}

#[test]
fn a_closed_terminal_ends_all_processes() {
    for words in
        ["devrun -- ", "devrun --stdin inherit -- ", "exec devrun -- ", "sh -c '$0 \"$@\"; exit' devrun -- "]
    {
        let sandbox = Sandbox::new();
        let mut shell = Pty::shell(&sandbox);
        shell.run(&format!(
            "{words}{}",
            child(&sandbox, "ignore 1 log {}/log up fork setsid ignore 1 log {}/log up sleep end sleep")
        ));
        let up = logged(&sandbox, "up", 2);
        let devrun = parent(up[0]);
        shell.hang_up();
        for pid in up {
            wait_for_state(&format!("no process is left after {words}"), pid, &[None, Some('Z')]);
        }
        wait_for_state("devrun has ended", devrun, &[None, Some('Z')]);
    }
}

#[test]
fn a_closed_terminal_stops_gently() {
    let sandbox = Sandbox::new();
    let script =
        "trap 'sleep 0.3; echo gentle >log; exit 0' TERM; trap '' HUP; echo up; while :; do sleep 0.05; done";
    std::fs::write(sandbox.path("server"), script).unwrap();
    let mut shell = Pty::shell(&sandbox);
    shell.run("devrun -- sh ./server");
    shell.expect("up\r\n");
    shell.hang_up();
    wait_until("the server has handled the signal", || sandbox.path("log").exists());
}

#[test]
fn nohup_keeps_devrun_alive_and_idle_after_the_terminal_closes() {
    let sandbox = Sandbox::new();
    let mut shell = Pty::shell(&sandbox);
    shell.run(&format!("nohup devrun -- {}", child(&sandbox, "log {}/log up sleep")));
    let up = logged(&sandbox, "up", 1)[0];
    let devrun = parent(up);
    shell.hang_up();
    wait_for_state("the shell is gone", shell.pid(), &[None, Some('Z')]);
    let before = processor_time(devrun);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(processor_time(devrun) - before < 10, "devrun spins");
    assert!(lives(up));
    sandbox.write("app.py", "one");
    logged(&sandbox, "up", 2);
    let devrun = rustix::process::Pid::from_raw(devrun).unwrap();
    rustix::process::kill_process(devrun, rustix::process::Signal::TERM).unwrap();
    wait_for_state("devrun has ended", devrun.as_raw_nonzero().get(), &[None, Some('Z')]);
}

/// The processor time of a process in ticks of 10 ms.
pub(crate) fn processor_time(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = text.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn a_prompt_reads_lines_before_and_after_a_restart() {
    let sandbox = Sandbox::new();
    let mut shell = Pty::shell(&sandbox);
    shell.run(
        &format!(
            "devrun --stdin inherit -- {}",
            child(&sandbox, "log {}/log up prompt (Pdb) {}/answers sleep")
        )
        .replace("(Pdb)", "'(Pdb) '"),
    );
    for round in 1..=3 {
        shell.expect("(Pdb) ");
        // The child also gets lines that would be commands to devrun.
        shell.run(&format!("rpw{round}"));
        shell.expect("(Pdb) ");
        logged(&sandbox, "up", round);
        sandbox.write(format!("{round}.py"), "");
        logged(&sandbox, "up", round + 1);
    }
    shell.expect("(Pdb) ");
    let answers = std::fs::read_to_string(sandbox.outside().join("answers")).unwrap();
    let answers: Vec<&str> = answers.lines().map(|line| line.split(' ').nth(1).unwrap()).collect();
    assert_eq!(answers, ["rpw1", "rpw2", "rpw3"]);
    shell.send("\x03");
    assert_eq!(shell.status(), 130);
    assert_eq!(shell.modes(), (true, true));
}

#[test]
#[ignore = "needs Python"]
fn the_python_debugger_works_across_a_restart() {
    let sandbox = Sandbox::new();
    let program = "import os\ngeneration = os.environ['DEVRUN_GENERATION']\nbreakpoint()\nprint('went on')\n";
    sandbox.write("app.py", program);
    let mut shell = Pty::shell(&sandbox);
    shell.run(&format!("devrun --stdin inherit -- {} app.py", crate::support::sandbox::python().display()));
    for generation in 1..=2 {
        shell.expect("(Pdb) ");
        shell.line("'generation ' + generation");
        shell.expect(&format!("'generation {generation}'\r\n"));
        shell.expect("(Pdb) ");
        sandbox.write("app.py", format!("{program}# {generation}\n"));
    }
    shell.expect("(Pdb) ");
    shell.line("continue");
    shell.expect("went on");
    // The child has ended, so the terminal belongs to devrun again.
    shell.expect("waiting for a change");
    shell.send("\x03");
    assert_eq!(shell.status(), 130);
    assert_eq!(shell.modes(), (true, true));
}

/// Waits until the process runs by which devrun sees Ctrl-C in the foreground group of another program.
fn wait_until_ctrl_c_is_seen(shell: &Pty) {
    wait_until("devrun sees Ctrl-C", || {
        let group = shell.foreground().to_string();
        let pids = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        let is_witness = |process: std::path::PathBuf| {
            let read = |name: &str| std::fs::read_to_string(process.join(name)).unwrap_or_default();
            let (stat, command) = (read("stat"), read("cmdline"));
            stat.split(' ').nth(4) == Some(&group) && command.contains("trap 'echo; exit' HUP QUIT TERM")
        };
        pids.filter(|process| process.join("cmdline").exists()).any(is_witness)
    });
}

#[test]
fn a_child_that_succeeds_at_ctrl_c_ends_devrun() {
    let sandbox = Sandbox::new();
    sandbox.write("server", "trap 'exit 0' INT; echo up; while :; do sleep 0.05; done");
    let mut shell = Pty::shell(&sandbox);
    shell.run("devrun --stdin inherit -- sh ./server");
    for round in 1..=3 {
        shell.expect("up\r\n");
        sandbox.write(format!("{round}.py"), "");
    }
    shell.expect("up\r\n");
    wait_until_ctrl_c_is_seen(&shell);
    shell.send("\x03");
    assert_eq!(shell.status(), 130);
    assert_eq!(shell.modes(), (true, true));
}

#[test]
fn a_child_that_goes_on_after_ctrl_c_and_ends_later_does_not_end_devrun() {
    let sandbox = Sandbox::new();
    let wait = "until [ -e ../end ]; do sleep 0.05; done; rm ../end";
    sandbox.write("server", format!("trap 'echo caught' INT; echo up; {wait}; echo by itself"));
    let mut shell = Pty::shell(&sandbox);
    shell.run("devrun --stdin inherit -- sh ./server");
    shell.expect("up\r\n");
    wait_until_ctrl_c_is_seen(&shell);
    shell.send("\x03");
    shell.expect("caught\r\n");
    // An end within a second would be an end by Ctrl-C.
    std::thread::sleep(std::time::Duration::from_secs(2));
    sandbox.write("../end", "");
    shell.expect("by itself\r\n");
    shell.expect("waiting for a change");
    shell.send("\x03");
    assert_eq!(shell.status(), 130);
}

#[test]
fn on_exit_quit_ends_devrun_with_a_child_that_succeeds_at_ctrl_c() {
    let sandbox = Sandbox::new();
    sandbox.write("server", "trap 'exit 0' INT; echo up; while :; do sleep 0.05; done");
    let mut shell = Pty::shell(&sandbox);
    shell.run("devrun --stdin inherit --on-exit quit -- sh ./server");
    shell.expect("up\r\n");
    shell.send("\x03");
    assert_eq!(shell.status(), 0);
}

#[test]
fn ctrl_z_in_a_child_that_owns_the_terminal_stops_the_job_and_fg_gives_it_back() {
    let sandbox = Sandbox::new();
    let mut shell = Pty::shell(&sandbox);
    shell.run(&format!(
        "devrun --stdin inherit -- {}",
        child(&sandbox, "log {}/log up prompt ask: {}/answers sleep")
    ));
    shell.expect("ask:");
    let up = logged(&sandbox, "up", 1)[0];
    let devrun = parent(up);
    assert_eq!(shell.foreground(), up);
    for word in ["one", "two"] {
        shell.send("\x1a");
        shell.expect("Stopped");
        for pid in [up, devrun] {
            wait_for_state("both have stopped", pid, &[Some('T')]);
        }
        shell.run("echo the shell $((40 + 2)) reads");
        shell.expect("the shell 42 reads");
        shell.run("fg");
        wait_until("the child has the terminal again", || shell.foreground() == up);
        shell.run(word);
        shell.expect("ask:");
    }
    // In the background, the child has to wait for the terminal. The shell reports that.
    shell.send("\x1a");
    shell.expect("Stopped");
    shell.run("bg; until [ \"$(jobs -s)\" ]; do sleep 0.05; done; echo $((40 + 2)) again");
    shell.expect("42 again");
    wait_for_state("it wants the terminal", devrun, &[Some('T')]);
    shell.run("fg");
    wait_until("the child has the terminal again", || shell.foreground() == up);
    shell.run("three");
    shell.expect("ask:");
    shell.send("\x03");
    assert_eq!(shell.status(), 130);
}

#[test]
fn devrun_restores_the_terminal_after_a_killed_child() {
    let sandbox = Sandbox::new();
    let mut shell = Pty::shell(&sandbox);
    shell.run(&format!("devrun --stdin inherit -- {}", child(&sandbox, "raw log {}/log up die 9")));
    logged(&sandbox, "up", 1);
    shell.expect("SIGKILL");
    wait_until("the terminal is in order", || shell.modes() == (true, true));
    sandbox.write("app.py", "one");
    logged(&sandbox, "up", 2);
    wait_until("the terminal is in order", || shell.modes() == (true, true));
    shell.send("\x03");
    assert_eq!(shell.status(), 130);
    assert_eq!(shell.modes(), (true, true));
}

#[test]
fn a_child_that_uses_the_terminal_without_owning_it_is_named_with_the_remedy() {
    let sandbox = Sandbox::new();
    let mut shell = Pty::shell(&sandbox);
    shell.run("devrun -- sh -c 'read line </dev/tty'");
    shell.expect("because it used the terminal");
    shell.expect("--stdin inherit");
    shell.send("\x03");
    assert_eq!(shell.status(), 130);
}

#[test]
fn a_letter_and_enter_is_a_command_and_does_not_reach_the_child() {
    let sandbox = Sandbox::new();
    let mut shell = Pty::shell(&sandbox);
    shell.run(&format!("devrun -- {}", child(&sandbox, "log {}/log up read {}/read sleep")));
    shell.expect("h and Enter lists the commands");
    logged(&sandbox, "up", 1);
    for help in ["?", "h"] {
        shell.line(help);
        shell.expect("r restart, p pause or resume, w why did it restart, q quit");
    }
    shell.line("r");
    logged(&sandbox, "up", 2);
    shell.line(" P");
    shell.expect("paused");
    sandbox.write("src/app.py", "one");
    shell.expect("src/app.py created");
    shell.line("p");
    shell.expect("resumed");
    logged(&sandbox, "up", 3);
    shell.line("w");
    shell.expect("generation 2, as requested");
    shell.expect("generation 3, src/app.py");
    assert_eq!(shell.modes(), (true, true));
    shell.line("q");
    assert_eq!(shell.status(), 0);
    assert!(!sandbox.outside().join("read").exists(), "a command reached the child");
}

/// A debugger asks, and its user does not know that devrun reads the terminal.
#[test]
fn a_line_that_is_no_command_is_answered_by_one_line_and_does_nothing_else() {
    let sandbox = Sandbox::new();
    let mut shell = Pty::shell(&sandbox);
    shell.run(&format!("devrun -- {}", child(&sandbox, "log {}/log up read {}/read sleep")));
    let up = logged(&sandbox, "up", 1);
    for line in ["p request.path", "quit", "n", "rq", "p\x15w q"] {
        shell.line(line);
        shell.expect("input goes to devrun");
        assert!(shell.expect("\r\n").contains("`--stdin inherit`"));
    }
    // Neither letters without Enter nor Ctrl-D on an empty line do anything. Ctrl-D ends no line.
    shell.send("\x04\x04rq");
    shell.send("\x04p\n");
    shell.expect("input goes to devrun");
    shell.send("\n \n\x04h\n");
    let words = shell.expect("r restart, p");
    assert!(!words.contains("input goes to devrun"), "{words}");
    assert_eq!(pids(&sandbox, "up"), up);
    let seen = shell.seen();
    assert_eq!(seen.matches("input goes to devrun").count(), 6, "{seen}");
    assert!(!seen.contains("paused"), "{seen}");
    shell.send("w\nq\n");
    shell.expect(" has not been restarted");
    assert_eq!(shell.status(), 0);
    assert!(!sandbox.outside().join("read").exists(), "a line reached the child");
}

/// The signal usually arrives during the first walk. At any other moment it must not be lost either.
#[test]
fn a_signal_during_the_first_walk_ends_it() {
    let sandbox = Sandbox::new();
    for number in 0..500 {
        sandbox.write(format!("many/{number}/file"), "");
    }
    let mut shell = Pty::shell(&sandbox);
    shell.run(&format!("devrun -- {}", child(&sandbox, "log {}/log up sleep")));
    wait_until("devrun catches signals", || {
        let devrun = shell.foreground();
        // Before the exec, the process is still the shell, which also catches signals.
        let name = std::fs::read_to_string(format!("/proc/{devrun}/comm")).unwrap_or_default();
        name == "devrun\n" && catches(devrun, libc::SIGINT)
    });
    shell.send("\x03");
    assert_eq!(shell.status(), 130);
    assert_eq!(shell.modes(), (true, true));
}

fn catches(pid: i32, signal: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t"));
    caught.and_then(|hex| u64::from_str_radix(hex, 16).ok()).is_some_and(|set| set >> (signal - 1) & 1 == 1)
}

#[test]
fn devrun_works_as_a_session_leader_without_a_shell() {
    let sandbox = Sandbox::new();
    let mut terminal =
        Pty::devrun(&sandbox, &["--", "sh", "-c", "echo child $DEVRUN_GENERATION; exec sleep 100"]);
    terminal.expect("child 1");
    terminal.line("r");
    terminal.expect("child 2");
    terminal.line("q");
    assert_eq!(terminal.wait().code(), Some(0));
    assert_eq!(terminal.modes(), (true, true));
}
