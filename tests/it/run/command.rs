//! COMMAND gets the words, the working directory and the variables that the user gave, from each source of
//! options.

use crate::support::process::TestProcess;
use crate::support::sandbox::{Sandbox, example, lives, wait_until};

const DEVRUN: &str = env!("CARGO_BIN_EXE_devrun");

/// Runs devrun to its end, and returns COMMAND's output and the exit status.
fn run_in(sandbox: &Sandbox, directory: &str, args: &[&str]) -> (String, i32) {
    let mut command = sandbox.devrun();
    command.current_dir(sandbox.path(directory)).args(["-q", "--no-watch", "--on-exit", "quit"]).args(args);
    let output = command.output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).replace(sandbox.root().to_str().unwrap(), "ROOT");
    (stdout, output.status.code().unwrap_or_else(|| panic!("{output:?}")))
}

fn run(sandbox: &Sandbox, args: &[&str]) -> (String, i32) {
    run_in(sandbox, ".", args)
}

#[test]
fn words_arrive_as_they_were_typed() {
    let sandbox = Sandbox::new();
    let echo = ["--", "printf", "<%s>", "a b", "", "*", "-w", "--", "$HOME"];
    assert_eq!(run(&sandbox, &echo), ("<a b><><*><-w><--><$HOME>".into(), 0));
    assert_eq!(run(&sandbox, &["--", "sh", "-c", "exit 7"]).1, 7);
    assert_eq!(run(&sandbox, &["--shell", "--", "echo one;", "exit", "3"]), ("one\n".into(), 3));
}

#[test]
fn a_command_that_cannot_start_has_the_exit_status_of_shells() {
    let sandbox = Sandbox::new();
    sandbox.write("notes.txt", "");
    assert_eq!(run(&sandbox, &["--", "no-such-program-here"]).1, 127);
    assert_eq!(run(&sandbox, &["--", "./notes.txt"]).1, 126);
}

/// The server may stay in its session, as after `&` in a script, or leave it, as daemons do.
#[test]
fn a_server_that_puts_itself_into_the_background_is_named_with_the_remedy() {
    let remedy = "run it in the foreground, for example nginx -g 'daemon off;', gunicorn without --daemon";
    for (options, steps) in [
        (&["--no-watch"][..], "fork log {}/log up write {}/go on sleep end await {}/go exit 0"),
        (&["--no-watch"], "daemon setsid log {}/log up write {}/go on sleep end await {}/go exit 0"),
        (
            &["--proxy", "127.0.0.1:0"],
            "daemon setsid log {}/log up write {}/go on serve end await {}/go exit 0",
        ),
    ] {
        let sandbox = Sandbox::new();
        let steps = steps.replace("{}", sandbox.outside().to_str().unwrap());
        let mut command = sandbox.devrun();
        command.args(options).arg("--").arg(example("child")).args(steps.split(' '));
        let mut running = TestProcess::start(&mut command);
        let line = running.wait_for_line("COMMAND exited with status 0 and left process ");
        let log = std::fs::read_to_string(sandbox.outside().join("log")).unwrap();
        let pid = log.split(' ').nth(1).unwrap();
        assert!(line.contains(&format!("left process {pid} in the background")), "{line}");
        assert!(line.contains(remedy), "{line}");
        running.wait_for_line("waiting for a change");
        wait_until("devrun has stopped the server", || !lives(pid.parse().unwrap()));
        running.stop();
    }
}

#[test]
fn a_command_that_fails_or_leaves_nothing_behind_is_no_daemon() {
    for (steps, end) in [
        ("exit 0", "exited with status 0 after"),
        ("fork log {}/log up write {}/go on sleep end await {}/go exit 3", "exited with status 3 after"),
    ] {
        let sandbox = Sandbox::new();
        let steps = steps.replace("{}", sandbox.outside().to_str().unwrap());
        let mut command = sandbox.devrun();
        command.args(["--no-watch", "--"]).arg(example("child")).args(steps.split(' '));
        let mut running = TestProcess::start(&mut command);
        running.wait_for_line(end);
        running.stop();
        assert_eq!(running.count("background"), 0);
    }
}

/// Runs `PREFIX PROGRAM OPTIONS… -- true` to its end, and returns its output and status.
fn run_limited(sandbox: &Sandbox, prefix: &[&str], program: &str, options: &[&str]) -> (String, Option<i32>) {
    let mut command = sandbox.command(prefix[0]);
    command.args(&prefix[1..]).args([program, "--no-watch", "--on-exit", "quit"]);
    let output = command.args(options).args(["--", "true"]).output().unwrap();
    (String::from_utf8_lossy(&output.stderr).into_owned(), output.status.code())
}

#[test]
fn too_few_descriptors_are_named_with_the_limit_and_the_remedy() {
    let sandbox = Sandbox::new();
    let limited = |limit: u32| format!("ulimit -n {limit} && exec \"$0\" \"$@\"");
    let (text, status) = run_limited(&sandbox, &["sh", "-c", &limited(8)], DEVRUN, &[]);
    assert!(text.contains("this process may open no more than 8 files"), "{text}");
    assert!(text.contains("raise the limit with `ulimit -n`"), "{text}");
    assert_eq!(status, Some(2), "{text}");
    // devrun itself has enough, but not for the sockets that COMMAND inherits.
    let sockets = ["--listen", "127.0.0.1:0"].repeat(25);
    let (text, status) = run_limited(&sandbox, &["sh", "-c", &limited(60)], DEVRUN, &sockets);
    assert!(text.contains("cannot start true: this process may open no more than 60 files"), "{text}");
    assert!(text.contains("raise the limit with `ulimit -n`"), "{text}");
    assert_eq!(status, Some(2), "{text}");
}

#[test]
#[cfg(target_os = "linux")]
#[ignore = "needs root, setpriv and prlimit"]
fn too_few_processes_are_named_with_the_limit_and_the_remedy() {
    use std::os::unix::fs::PermissionsExt;

    let sandbox = Sandbox::new();
    // The user that the limit applies to may not be able to read the program or the project.
    let program = sandbox.outside().join("devrun");
    std::fs::copy(DEVRUN, &program).unwrap();
    std::fs::set_permissions(sandbox.outside(), std::fs::Permissions::from_mode(0o755)).unwrap();
    // The kernel counts threads too, and no other process has this user. devrun itself needs some of them.
    let mut seen = String::new();
    for limit in 1.. {
        let option = format!("--nproc={limit}:{limit}");
        let user = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", "prlimit", &option];
        let (text, status) = run_limited(&sandbox, &user, program.to_str().unwrap(), &[]);
        seen += &text;
        if status == Some(0) {
            break;
        }
        assert_eq!(status, Some(2), "{text}");
        let reason = format!("this user may have no more than {limit} processes and threads");
        assert!(text.contains(&reason) && text.contains("raise the limit with `ulimit -u`"), "{text}");
    }
    assert!(seen.contains("failed to start the output threads: "), "{seen}");
    assert!(seen.contains("cannot start true: this user"), "{seen}");
}

#[test]
fn variables_come_from_the_command_line_over_files_over_the_caller() {
    let sandbox = Sandbox::new();
    sandbox.write(".env", "A=file\nB=file\nC='with blanks'\n");
    sandbox.write("devrun.toml", "[run]\nenv = { B = 'toml', D = 1 }\nenv-file = '.env'\n");
    let print = ["--", "sh", "-c", "echo $A,$B,$C,$D,$E"];
    assert_eq!(run(&sandbox, &print).0, "file,toml,with blanks,1,\n");
    let typed = [&["--env", "B=typed", "--env", "E=a=b"][..], &print].concat();
    assert_eq!(run(&sandbox, &typed).0, "file,typed,with blanks,1,a=b\n");
}

#[test]
fn a_configured_command_runs_in_the_projects_directory_and_a_typed_one_where_it_was_typed() {
    let sandbox = Sandbox::new();
    sandbox.git(&["init", "-q"]);
    sandbox.write(
        "devrun.toml",
        "[run]\ncommand = ['sh', '-c', 'pwd; exit 5']\n[profile.line.run]\ncommand = 'pwd && exit 6'\n",
    );
    sandbox.write("sub/deep/x", "");
    assert_eq!(run_in(&sandbox, "sub/deep", &[]), ("ROOT\n".into(), 5));
    assert_eq!(run_in(&sandbox, "sub/deep", &["--profile", "line"]), ("ROOT\n".into(), 6));
    assert_eq!(run_in(&sandbox, "sub/deep", &["--", "pwd"]), ("ROOT/sub/deep\n".into(), 0));
    assert_eq!(run_in(&sandbox, "sub/deep", &["-C", "..", "--", "pwd"]), ("ROOT/sub\n".into(), 0));
}

#[test]
fn a_build_runs_first_and_a_build_option_replaces_the_builds_of_the_file() {
    let sandbox = Sandbox::new();
    sandbox
        .write("devrun.toml", "[run]\nbuild = ['echo built > made', ['sh', '-c', 'echo twice >> made']]\n");
    assert_eq!(run(&sandbox, &["--", "cat", "made"]).0, "built\ntwice\n");
    assert_eq!(run(&sandbox, &["--build", "echo other > made", "--", "cat", "made"]).0, "other\n");
}

#[test]
fn a_configuration_file_elsewhere_is_watched_through_a_link_or_by_name() {
    let sandbox = Sandbox::new();
    let file = sandbox.outside().join("shared.toml");
    let write = |word: &str| {
        std::fs::write(&file, format!("[run]\ncommand = ['sh', '-c', 'echo run {word}; exec sleep 60']\n"))
            .unwrap();
    };
    std::fs::create_dir(sandbox.path("src")).unwrap();
    write("zero");
    std::os::unix::fs::symlink("../shared.toml", sandbox.path("devrun.toml")).unwrap();
    for (word, options) in [("one", &[][..]), ("two", &["--config", "src/../../shared.toml"])] {
        let mut running = TestProcess::start(sandbox.devrun().args(options));
        running.wait_for_line("run ");
        write(word);
        running.wait_for_line(&format!("run {word}"));
        running.wait_for_line("in effect, with a restart");
        running.stop();
    }
}

#[test]
fn an_edit_of_the_file_takes_effect_and_a_mistake_in_it_changes_nothing() {
    let sandbox = Sandbox::new();
    let file = |extra: &str| format!("[run]\ncommand = ['sh', '-c', 'echo run $A; exec sleep 60']\n{extra}");
    sandbox.write("src/main.rs", "");
    sandbox.write("devrun.toml", file("env = { A = 'one' }\n"));
    let mut running = TestProcess::start(sandbox.devrun().args(["-w", "src"]));
    running.wait_for_line("run one");
    sandbox.write("devrun.toml", file("env = { A = 'two' }\n"));
    running.wait_for_line("run two");
    sandbox.write("devrun.toml", file("evn = { A = 'three' }\n"));
    running.wait_for_line("did you mean `env`?");
    sandbox.write("devrun.toml", file("env = { A = 'two' }\n[watch]\next = ['rs']\n"));
    running.wait_for_count("in effect", 2);
    sandbox.write("src/main.rs", "changed");
    running.wait_for_count("run two", 2);
    assert_eq!(running.count("run three"), 0);
    // Without a COMMAND, devrun has nothing to run instead.
    std::fs::remove_file(sandbox.path("devrun.toml")).unwrap();
    running.wait_for_line("there is no COMMAND to run");
    running.wait_for_count("the old settings stay in effect", 2);
    sandbox.write("src/main.rs", "changed again");
    running.wait_for_count("run two", 3);
    assert_eq!(running.count("run two"), 3);
    running.stop();
}
