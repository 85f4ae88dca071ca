//! devrun's own output, which waits for no slow reader and no full disk. Status lines and colours.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use crate::support::http::{free_address, get};
use crate::support::process::TestProcess;
use crate::support::pty::Pty;
use crate::support::sandbox::{Sandbox, example, fifo, wait_for, wait_until};

/// A child that logs its generation and stays.
fn logging(sandbox: &Sandbox, command: &mut Command, steps: &str) {
    let outside = sandbox.outside();
    command.args(["--on-loop", "restart", "--"]).arg(example("child"));
    command.args(steps.split(' ').map(|word| word.replace("{}", outside.to_str().unwrap())));
}

fn generations(sandbox: &Sandbox) -> usize {
    std::fs::read_to_string(sandbox.outside().join("log")).unwrap_or_default().lines().count()
}

/// Restarts the server this number of times and ends devrun. devrun must supervise with any output streams.
fn supervises(sandbox: &Sandbox, mut devrun: Child, restarts: usize) {
    wait_until("the first generation has started", || generations(sandbox) == 1);
    for number in 0..restarts {
        sandbox.write(format!("{number}.py"), "");
        wait_until("devrun restarts COMMAND", || generations(sandbox) == number + 2);
    }
    let pid = rustix::process::Pid::from_raw(devrun.id() as i32).unwrap();
    let ticks = crate::run::terminal::processor_time(devrun.id() as i32);
    assert!(ticks < 300, "devrun spins: {ticks}");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let status = wait_for("devrun ends", || devrun.try_wait().unwrap());
    assert_eq!(status.signal(), Some(15), "{status:?}");
}

const LOG: &str = "log {}/log up print hello complain hello sleep";

#[test]
fn a_full_disk_stops_no_restart() {
    for options in [&["-vv"][..], &["--log-format", "json"], &["--proxy", "127.0.0.1:0"]] {
        let sandbox = Sandbox::new();
        let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
        let mut command = sandbox.devrun();
        command.args(options).stdin(Stdio::null()).stdout(full()).stderr(full());
        let steps = if options[0] == "--proxy" { "log {}/log up serve" } else { LOG };
        logging(&sandbox, &mut command, steps);
        supervises(&sandbox, command.spawn().unwrap(), 2);
    }
}

#[test]
fn closed_output_streams_stop_no_restart() {
    let sandbox = Sandbox::new();
    let mut inner = sandbox.devrun();
    logging(&sandbox, &mut inner, LOG);
    let mut command = sandbox.command("sh");
    command.args(["-c", "exec \"$0\" \"$@\" <&- >&- 2>&-"]).arg(inner.get_program()).args(inner.get_args());
    supervises(&sandbox, command.spawn().unwrap(), 2);
}

#[test]
fn readers_that_have_ended_stop_no_restart() {
    for options in [&["-vv"][..], &["--log-format", "json", "-v"]] {
        let sandbox = Sandbox::new();
        let (out, err) = (rustix::pipe::pipe().unwrap(), rustix::pipe::pipe().unwrap());
        let mut command = sandbox.devrun();
        command.args(options).stdin(Stdio::null()).stdout(out.1).stderr(err.1);
        logging(&sandbox, &mut command, LOG);
        let devrun = command.spawn().unwrap();
        drop(command);
        drop((out.0, err.0));
        supervises(&sandbox, devrun, 2);
    }
}

/// A pipe that is full to the last byte and has no reader.
fn full_pipe() -> (OwnedFd, OwnedFd) {
    let (read, write) = rustix::pipe::pipe().unwrap();
    rustix::io::ioctl_fionbio(&write, true).unwrap();
    while rustix::io::write(&write, &[b'x'; 4096]).is_ok() {}
    while rustix::io::write(&write, b"x").is_ok() {}
    rustix::io::ioctl_fionbio(&write, false).unwrap();
    (read, write)
}

#[test]
fn a_log_without_a_reader_delays_no_restart() {
    for options in
        [&["--log-format", "json"][..], &["-vvv"], &["--log-format", "json", "--proxy", "127.0.0.1:0"]]
    {
        let sandbox = Sandbox::new();
        let (_read, write) = full_pipe();
        let mut command = sandbox.devrun();
        command.args(options).stdin(Stdio::null()).stdout(Stdio::null()).stderr(write);
        let steps = if options.len() == 4 { "log {}/log up serve" } else { "log {}/log up sleep" };
        logging(&sandbox, &mut command, steps);
        supervises(&sandbox, command.spawn().unwrap(), 5);
    }
}

#[test]
fn a_slow_reader_gets_the_whole_log() {
    let sandbox = Sandbox::new();
    let (read, write) = full_pipe();
    let mut command = sandbox.devrun();
    command.args(["--log-format", "json"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(write);
    logging(&sandbox, &mut command, "log {}/log up sleep");
    let devrun = command.spawn().unwrap();
    drop(command);
    wait_until("the first generation has started", || generations(&sandbox) == 1);
    sandbox.write("app.py", "");
    wait_until("devrun restarts COMMAND", || generations(&sandbox) == 2);
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        File::from(read).read_to_string(&mut text).unwrap();
        text
    });
    let pid = rustix::process::Pid::from_raw(devrun.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let mut devrun = devrun;
    wait_for("devrun ends", || devrun.try_wait().unwrap());
    let text = reader.join().unwrap();
    let events: Vec<&str> = text.trim_start_matches('x').lines().collect();
    assert!(
        events[0].contains("\"watching\"") && events.last().unwrap().contains("\"summary\""),
        "{events:?}"
    );
}

#[test]
fn an_error_at_the_start_waits_for_its_reader() {
    let sandbox = Sandbox::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (read, write) = full_pipe();
    let mut command = sandbox.devrun();
    command.args(["-vvv", "--proxy", &taken.local_addr().unwrap().to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(write);
    logging(&sandbox, &mut command, "log {}/log up sleep");
    let mut devrun = command.spawn().unwrap();
    drop(command);
    let mut text = String::new();
    File::from(read).read_to_string(&mut text).unwrap();
    assert!(text.contains("error: ") && text.contains("in use"), "{text}");
    assert_eq!(wait_for("devrun ends", || devrun.try_wait().unwrap()).code(), Some(2));
    assert_eq!(generations(&sandbox), 0);
}

#[test]
fn head_takes_its_line_and_the_child_ends_as_without_devrun() {
    let sandbox = Sandbox::new();
    let script =
        "\"$0\" -q --on-exit quit -- sh -c 'echo one; sleep 0.2; while echo two; do :; done' | head -1";
    let output = sandbox.command("sh").args(["-c", script, env!("CARGO_BIN_EXE_devrun")]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "one\n");
}

#[test]
fn a_status_line_shows_a_long_build_and_disappears() {
    let sandbox = Sandbox::new();
    let gate = sandbox.outside().join("gate");
    fifo(&gate);
    let build = format!("read line < {}; echo built", gate.display());
    let mut terminal =
        Pty::devrun(&sandbox, &["--build", &build, "--", "sh", "-c", "echo child; exec sleep 100"]);
    let shown = |terminal: &mut Pty| {
        terminal.expect("devrun: building (");
        terminal.expect(")")
    };
    let first = shown(&mut terminal);
    wait_until("the status line counts the time", || shown(&mut terminal) != first);
    std::fs::write(gate, "go on\n").unwrap();
    terminal.expect("child");
    assert_eq!(terminal.screen().iter().filter(|line| line.contains("building (")).count(), 0);
    terminal.line("q");
    terminal.wait();
    terminal.expect(" ran ");
    let screen = terminal.screen();
    assert!(screen.contains(&"built".to_owned()) && screen.contains(&"child".to_owned()), "{screen:#?}");
    assert!(screen.iter().any(|line| line.starts_with("devrun: ran ")), "{screen:#?}");
}

#[test]
fn a_status_line_never_breaks_a_line_of_the_child() {
    let sandbox = Sandbox::new();
    // The child prints whole lines, partial lines and colours while devrun shows its status line.
    let script = "i=0; while [ $i -lt 150 ]; do i=$((i+1)); printf 'line %s ' $i; sleep 0.005; \
                  printf '\\033[32mends\\033[0m\\n'; sleep 0.005; done";
    sandbox.write("build", script);
    let args = ["--build", "sh ./build", "--", "sh", "-c", "echo child; exec sleep 100"];
    let mut terminal = Pty::devrun(&sandbox, &args);
    terminal.expect("devrun: building (");
    terminal.expect("child");
    let screen = terminal.screen();
    for number in 1..=150 {
        assert!(screen.contains(&format!("line {number} ends")), "{number}: {screen:#?}");
    }
    let strange = |line: &&String| {
        !line.is_empty() && !line.starts_with("devrun: ") && !line.starts_with("line ") && *line != "child"
    };
    assert_eq!(screen.iter().find(strange), None, "{screen:#?}");
}

#[test]
fn an_error_answer_of_devrun_is_one_line() {
    let (sandbox, address) = (Sandbox::new(), free_address());
    let mut command = sandbox.devrun();
    command.args(["--proxy", &address.to_string(), "--"]).arg(example("child")).arg("serve");
    let mut running = TestProcess::start(&mut command);
    running.wait_for_line("ready in");
    let status = |path: &str| get(address, path).unwrap().status;
    assert_eq!((status("/head/200000"), status("/status/502"), status("/head/300000")), (200, 502, 502));
    let line = running.wait_for_line("answered ");
    assert!(line.contains("answered GET /head/300000 with 502: "), "{line}");
    assert_eq!(running.count("502"), 1, "devrun logs no error answer of the server");
    running.stop();
}

#[test]
fn the_line_after_a_start_or_restart_has_the_address_to_open() {
    for (option, scheme) in [("--proxy", "http://"), ("--listen", "")] {
        for (level, upstreams) in [("--on-loop=warn", 0), ("-v", 2)] {
            let (sandbox, address) = (Sandbox::new(), free_address());
            let mut command = sandbox.devrun();
            command.args([option, &address.to_string(), level, "--"]).arg(example("child")).arg("serve");
            let mut running = TestProcess::start(&mut command);
            running.wait_for_count("ready in ", 1);
            sandbox.write("app.py", "");
            running.wait_for_count("ready in ", 2);
            running.stop();
            let lines = running.lines();
            let ready: Vec<_> = lines.iter().filter(|line| line.contains("ready in ")).collect();
            let end = format!("s: {scheme}{address}");
            assert!(ready.iter().all(|line| line.ends_with(&end)), "{ready:?} {end}");
            // Clients never open the address behind the proxy.
            let upstreams = if scheme.is_empty() { 0 } else { upstreams };
            assert_eq!(running.count("devrun: upstream 127.0.0.1:"), upstreams, "{lines:#?}");
        }
    }
}

#[test]
fn failed_restarts_are_counted_and_explained() {
    let sandbox = Sandbox::new();
    let script = "test $DEVRUN_GENERATION = 2 && exit 7; echo child $DEVRUN_GENERATION; exec sleep 100";
    let mut terminal = Pty::devrun(&sandbox, &["--", "sh", "-c", script]);
    terminal.expect("child 1");
    sandbox.write("one.py", "");
    terminal.expect("`sh` exited with status 7 after ");
    sandbox.write("two.py", "");
    terminal.expect("child 3");
    terminal.line("w");
    terminal.expect(" ago: generation 2, one.py: started in ");
    terminal.expect("s, exited with status 7 after ");
    terminal.expect(" ago: generation 3, two.py: started in ");
    terminal.line("q");
    terminal.expect("2 restarts (1 failed) for 2 changed files");
    terminal.wait();
}

#[test]
fn a_status_line_shows_readiness_and_responses_in_flight() {
    use std::io::{Read, Write};
    let sandbox = Sandbox::new();
    let helper = example("child");
    let address = free_address().to_string();
    let args = ["--proxy", &address, "--", helper.to_str().unwrap(), "serve", "2500"];
    let mut terminal = Pty::devrun(&sandbox, &args);
    terminal.expect("devrun: waiting for `child serve 2500` to be ready (");
    terminal.expect("ready in");
    let mut client = std::net::TcpStream::connect(&address).unwrap();
    write!(client, "GET /slow/4000/20 HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    client.read_exact(&mut [0; 9]).unwrap();
    sandbox.write("app.py", "");
    terminal.expect("ready in");
    terminal.expect("devrun: waiting for 1 response, ");
    drop(client);
    wait_until("the status line ends with the client", || {
        !terminal.screen().iter().any(|line| line.contains("waiting for 1 response"))
    });
    terminal.line("q");
    terminal.wait();
}

#[test]
fn a_status_line_never_disturbs_a_child_that_reads_the_terminal() {
    let sandbox = Sandbox::new();
    let helper = example("child");
    let log = sandbox.outside().join("log");
    let (helper, log) = (helper.to_str().unwrap(), log.to_str().unwrap());
    let args = ["--proxy", "127.0.0.1:0", "--stdin", "inherit", "--", helper, "prompt", "ask:", log];
    let mut terminal = Pty::devrun(&sandbox, &args);
    for _ in 0..4 {
        terminal.expect("ask:");
        std::thread::sleep(std::time::Duration::from_millis(300));
        terminal.send("word\n");
    }
    terminal.expect("ask:");
    assert!(!terminal.seen().contains("to be ready ("), "{}", terminal.seen());
    terminal.send("\x03");
    terminal.wait();
}

#[test]
fn a_paused_devrun_shows_it_all_the_time() {
    let sandbox = Sandbox::new();
    let script = "echo child $DEVRUN_GENERATION; read line < gate; echo went on; exec sleep 100";
    fifo(&sandbox.path("gate"));
    let mut terminal = Pty::devrun(&sandbox, &["--", "sh", "-c", script]);
    terminal.expect("child 1");
    let is_shown =
        |terminal: &Pty| terminal.screen().last().unwrap().starts_with("devrun: paused, p and Enter");
    terminal.line("p");
    wait_until("the status line shows the pause", || is_shown(&terminal));
    sandbox.write("app.py", "");
    terminal.expect("app.py created (paused)");
    std::fs::write(sandbox.path("gate"), "go on\n").unwrap();
    terminal.expect("went on");
    wait_until("the status line is back", || is_shown(&terminal));
    terminal.line("p");
    terminal.expect("child 2");
    wait_until("the status line is gone", || !is_shown(&terminal));
    terminal.line("q");
    terminal.wait();
}

#[test]
fn every_answer_to_a_typed_line_fits_80_columns() {
    let sandbox = Sandbox::new();
    let mut terminal = Pty::devrun(&sandbox, &["--", "sh", "-c", "echo child; exec sleep 100"]);
    terminal.expect("child");
    for line in ["h", "w", "p", "p", "what?", "q"] {
        terminal.line(line);
    }
    terminal.expect("devrun:\x1b[0m ran");
    let screen = terminal.screen();
    assert!(screen.iter().all(|line| line.chars().count() <= 80), "{screen:#?}");
    assert!(screen.iter().any(|line| line.contains("w why")), "{screen:#?}");
    terminal.wait();
}

/// Starts devrun on a terminal that knows all sequences, in a directory of this name.
fn on_wezterm(sandbox: &Sandbox, directory: &str, args: &[&str]) -> Pty {
    let directory = sandbox.path(directory);
    std::fs::create_dir(&directory).unwrap();
    let mut command = Command::new("env");
    command.arg("-C").arg(directory).arg(env!("CARGO_BIN_EXE_devrun")).args(args);
    Pty::start(sandbox, command.env("TERM_PROGRAM", "WezTerm"))
}

#[test]
fn the_title_shows_the_state_and_a_failure_rings_the_bell() {
    let sandbox = Sandbox::new();
    let script = "test -e broken.py && exit 7; echo child; exec sleep 100";
    // The directory has a name that would end the title and clear the screen.
    let args = ["--build", "true", "--", "sh", "-c", script];
    let mut terminal = on_wezterm(&sandbox, "api\x1b\\\x1b[2J", &args);
    let name = "devrun: api\\u{1b}\\\\u{1b}[2J";
    terminal.expect(&format!("\x1b[22;2t\x1b]2;{name} building\x1b\\\x1b]9;4;3;0\x1b\\"));
    terminal.expect(&format!("\x1b]2;{name} running\x1b\\\x1b]9;4;0;0\x1b\\"));
    terminal.expect("child");
    sandbox.write("api\x1b\\\x1b[2J/broken.py", "");
    terminal.expect(&format!("\x1b]2;{name} failed\x1b\\\x1b]9;4;2;100\x1b\\\x07"));
    terminal.line("p");
    terminal.expect(&format!("\x1b]2;{name} paused\x1b\\"));
    terminal.line("q");
    terminal.expect("\x1b]2;\x1b\\\x1b[23;2t\x1b]9;4;0;0\x1b\\");
    terminal.wait();
    assert_eq!(terminal.seen().matches('\x07').count(), 1, "{:?}", terminal.seen());
}

#[test]
fn names_of_files_and_addresses_are_links() {
    let sandbox = Sandbox::new();
    let address = free_address().to_string();
    let helper = example("child");
    let args = ["--proxy", &address, "--", helper.to_str().unwrap(), "serve"];
    let mut terminal = on_wezterm(&sandbox, "api", &args);
    terminal.expect("listening on \x1b]8;;http://");
    terminal.expect("ready in ");
    terminal.expect(&format!(": \x1b]8;;http://{address}\x1b\\http://{address}\x1b]8;;\x1b\\"));
    sandbox.write("api/a b\x1b.py", "");
    let directory = std::fs::canonicalize(sandbox.path("api")).unwrap();
    let url = format!("file://{}/a%20b%1B.py", directory.display());
    terminal.expect(&format!("\x1b]8;;{url}\x1b\\a b\\u{{1b}}.py\x1b]8;;\x1b\\ created"));
    terminal.line("q");
    terminal.wait();
}

#[test]
fn title_progress_bell_and_links_are_left_out_where_they_are_not_wanted_or_not_known() {
    let cases: [&[&str]; 4] = [
        &["--no-title", "--color", "never"],
        &["--log-format", "json"],
        &["TERM=dumb", "--color", "never"],
        &["TERM=linux", "TERM_PROGRAM=other", "--color", "never"],
    ];
    for case in cases {
        let sandbox = Sandbox::new();
        let mut command = Command::new(env!("CARGO_BIN_EXE_devrun"));
        command.env("TERM_PROGRAM", "WezTerm");
        for word in case {
            match word.split_once('=') {
                Some((name, value)) => command.env(name, value),
                None => command.arg(word),
            };
        }
        command.args(["--on-exit", "quit", "--build", "true", "--", "sh", "-c", "exit 7"]);
        let mut terminal = Pty::start(&sandbox, &command);
        terminal.wait();
        terminal.expect(if case[1] == "json" { "\"summary\"" } else { "devrun: ran " });
        let seen = terminal.seen();
        assert!(!seen.contains("\x1b]") && !seen.contains("\x1b[2"), "{case:?}: {seen:?}");
        let rings = case[0].starts_with("TERM=linux");
        assert_eq!(seen.contains('\x07'), rings, "{case:?}: {seen:?}");
    }
}

#[test]
fn a_terminal_with_stopped_output_delays_no_restart() {
    let sandbox = Sandbox::new();
    let outside = sandbox.outside();
    let log = outside.join("log");
    let helper = example("child");
    let (helper, log) = (helper.to_str().unwrap(), log.to_str().unwrap());
    let mut terminal = Pty::devrun(&sandbox, &["--", helper, "log", log, "up", "print", "word", "sleep"]);
    terminal.expect("word");
    terminal.send("\x13");
    for number in 0..3 {
        sandbox.write(format!("{number}.py"), "");
        wait_until("devrun restarts COMMAND", || generations(&sandbox) == number + 2);
    }
    terminal.send("\x11");
    for _ in 0..3 {
        terminal.expect("word");
    }
    terminal.line("q");
    assert_eq!(terminal.wait().code(), Some(0));
}

#[test]
fn escape_sequences_are_no_commands() {
    let sandbox = Sandbox::new();
    let script = "echo child $DEVRUN_GENERATION; printf '\\033[6n'; exec sleep 100";
    let mut terminal = Pty::devrun(&sandbox, &["--", "sh", "-c", script]);
    terminal.expect("\x1b[6n");
    // The cursor position, F2, an arrow, F5, Alt-q, a mouse event, the background colour.
    let sequences = "\x1b[12;40R\x1bOQ\x1b[A\x1b[15~\x1bq\x1b[<0;10;5M\x1b]11;rgb:0000/0000/0000\x1b\\";
    terminal.line(sequences);
    // A line that is typed right after a reply of the terminal is a command.
    terminal.line(&format!("{sequences}?"));
    terminal.expect("q quit");
    let seen = terminal.seen();
    assert!(!seen.contains("child 2") && !seen.contains("input goes to devrun"), "{seen}");
    terminal.line("q");
    assert_eq!(terminal.wait().code(), Some(0));
}

#[test]
fn a_pipe_gets_no_status_line_and_no_colour() {
    let sandbox = Sandbox::new();
    let args = ["--build", "sleep 1", "--on-exit", "quit", "--", "true"];
    let output = sandbox.devrun().args(args).envs([("TERM", "xterm"), ("TERM_PROGRAM", "WezTerm")]).output();
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!text.contains('\x1b') && !text.contains('\r') && !text.contains("building ("), "{text:?}");
}

#[test]
fn colour_options_and_variables_follow_the_usual_rules() {
    // Variable, value, on a terminal, in a pipe.
    let cases = [
        ("IGNORED", "1", true, false),
        ("NO_COLOR", "1", false, false),
        ("NO_COLOR", "", true, false),
        ("CLICOLOR", "0", false, false),
        ("CLICOLOR_FORCE", "1", true, true),
        ("TERM", "dumb", false, false),
    ];
    for (name, value, on_terminal, in_pipe) in cases {
        let sandbox = Sandbox::new();
        let mut command = Command::new(env!("CARGO_BIN_EXE_devrun"));
        command.args(["--on-exit", "quit", "--", "true"]).env(name, value);
        let mut terminal = Pty::start(&sandbox, &command);
        terminal.wait();
        terminal.expect(" ran ");
        let seen = terminal.seen();
        assert_eq!(seen.contains("\x1b[2mdevrun:"), on_terminal, "{name}={value}: {seen:?}");
        let mut piped = sandbox.devrun();
        piped.args(["--on-exit", "quit", "--", "true"]).env("TERM", "xterm").env(name, value);
        let text = String::from_utf8(piped.output().unwrap().stderr).unwrap();
        assert_eq!(text.contains("\x1b["), in_pipe, "{name}={value} in a pipe: {text:?}");
    }
    let sandbox = Sandbox::new();
    for (word, colour) in [("always", true), ("never", false)] {
        let mut command = sandbox.devrun();
        let text =
            command.args(["--color", word, "--on-exit", "quit", "--", "true"]).output().unwrap().stderr;
        assert_eq!(text.contains(&0x1b), colour, "--color {word}");
    }
}

#[test]
fn a_status_line_disappears_without_colour_too() {
    let sandbox = Sandbox::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_devrun"));
    command.args(["--build", "sleep 2", "--on-exit", "quit", "--", "true"]).env("NO_COLOR", "1");
    let mut terminal = Pty::start(&sandbox, &command);
    terminal.expect("devrun: building (");
    terminal.wait();
    terminal.expect(" ran ");
    assert!(!terminal.screen().iter().any(|line| line.contains("building (")), "{:#?}", terminal.screen());
}

#[test]
fn a_dumb_terminal_gets_plain_lines() {
    let sandbox = Sandbox::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_devrun"));
    command.args(["--clear", "--build", "sleep 1", "--on-exit", "quit", "--", "true"]).env("TERM", "dumb");
    let mut terminal = Pty::start(&sandbox, &command);
    terminal.wait();
    terminal.expect(" ran ");
    assert!(
        !terminal.seen().contains('\x1b') && !terminal.seen().contains("building ("),
        "{:?}",
        terminal.seen()
    );
}

#[test]
fn the_child_has_a_terminal_of_the_right_size_with_and_without_a_proxy() {
    for options in [&[][..], &["--proxy", "127.0.0.1:0"]] {
        let sandbox = Sandbox::new();
        let script = "trap 'stty size <&2' WINCH; test -t 1 && test -t 2 && echo terminal; stty size <&1; \
                      printf '\\033[31mred\\033[0m\\n'; while :; do sleep 0.05; done";
        let args = [options, &["--", "sh", "-c", script]].concat();
        let mut terminal = Pty::devrun(&sandbox, &args);
        terminal.expect("terminal\r\n");
        terminal.expect("30 100\r\n");
        terminal.expect("\x1b[31mred\x1b[0m\r\n");
        terminal.resize(60);
        terminal.expect("30 60\r\n");
        terminal.line("q");
        assert_eq!(terminal.wait().code(), Some(0));
    }
}

#[test]
fn the_last_output_of_the_child_is_shown() {
    let sandbox = Sandbox::new();
    let script = "for i in 1 2 3 4 5 6 7 8 9; do seq 1 2000; done; echo the end; exit 3";
    let mut terminal = Pty::devrun(&sandbox, &["--on-exit", "quit", "--", "sh", "-c", script]);
    assert_eq!(terminal.wait().code(), Some(3));
    terminal.expect("the end\r\n");
    let words = terminal.expect(" ran ");
    assert!(words.contains("exited with status 3"), "{words}");
    assert_eq!(terminal.seen().matches("\r\n2000\r\n").count(), 9);
}

#[test]
fn control_and_bidirectional_characters_in_paths_are_escaped() {
    let sandbox = Sandbox::new();
    let mut terminal = Pty::devrun(&sandbox, &["--", "sh", "-c", "echo child; exec sleep 100"]);
    terminal.expect("child");
    sandbox.write("a\u{202e}b\x1b[2Jc\nd.py", "");
    terminal.expect("a\\u{202e}b\\u{1b}[2Jc\\nd.py created");
    sandbox.write("مرحبا 世界 🦀.py", "");
    terminal.expect("مرحبا 世界 🦀.py created");
    terminal.line("q");
    terminal.wait();
}

#[test]
fn clear_empties_the_screen_before_each_restart_and_only_on_a_terminal() {
    let sandbox = Sandbox::new();
    let args = ["--clear", "--", "sh", "-c", "echo child $DEVRUN_GENERATION; exec sleep 100"];
    let mut terminal = Pty::devrun(&sandbox, &args);
    terminal.expect("child 1");
    sandbox.write("app.py", "one");
    terminal.expect("child 2");
    let screen = terminal.screen();
    assert!(!screen.iter().any(|line| line == "child 1"), "{screen:#?}");
    terminal.line("q");
    terminal.wait();
}
