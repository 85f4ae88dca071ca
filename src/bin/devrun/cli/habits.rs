//! Options of other programs that users type by habit, and what does the same here.

/// The option as typed, and the remedy. Options of devrun itself are no habits.
const HABITS: &[(&[&str], &str)] = &[
    (&["--port", "-p"], "`--proxy PORT` holds the port that clients see"),
    (&["--host", "--bind", "-b"], "`--proxy ADDRESS:PORT` holds the address that clients see"),
    (&["--open", "-o"], "open the address that devrun prints when the server is ready"),
    (&["--delay", "--debounce-ms", "--settle"], "`--debounce 200ms` is the quiet time after a change"),
    (
        &["-x", "--exec", "--run", "--cmd", "--command", "--on-change"],
        "write the program after `--`: devrun -- COMMAND",
    ),
    (
        &["-r", "--restart", "--reload", "--watch-when-idle"],
        "leave it out: devrun restarts COMMAND at each change",
    ),
    (&["--no-restart", "--on-busy-update"], "`--on-busy` says what a change does while COMMAND runs"),
    (
        &["--poll", "--force-poll", "--legacy-watch", "-L"],
        "`--mode stat` scans instead of using kernel events",
    ),
    (&["-s", "--signal"], "`--stop-signal SIGINT` is the signal that stops COMMAND"),
    (
        &["-k", "--kill", "--kill-timeout", "--graceful-timeout"],
        "`--stop-timeout 5s` is the time until SIGKILL",
    ),
    (&["-n", "--no-shell"], "leave it out: devrun runs COMMAND without a shell, unless there is `--shell`"),
    (&["--use-shell"], "`--shell` runs COMMAND by a shell"),
    (&["-c", "--cls"], "`--clear` clears the screen before each restart"),
    (&["--reload-dir", "--watch-dir", "--dir", "--folder"], "`--watch PATH` watches a path"),
    (&["--reload-include", "--include", "--glob"], "`--filter GLOB` watches matching paths only"),
    (
        &["--reload-exclude", "--exclude", "--exclude-dir", "--ignore-pattern"],
        "`--ignore PATTERN` ignores matching paths",
    ),
    (&["--no-ignore", "--ignore-nothing"], "`--no-vcs-ignore` and `--no-default-ignore` leave out rules"),
    (&["--cwd", "--chdir"], "`-C DIR` runs COMMAND in a directory"),
    (&["--exit-on-error", "--fail-fast", "--exitcrash"], "`--on-exit quit` ends devrun with COMMAND"),
    (&["--workers", "--reload-engine", "--inspect", "--debug"], "it belongs to COMMAND: write it after `--`"),
    (&["--notify", "-N"], "devrun has no notifications; the terminal's title and bell report the state"),
    (&["--why"], "type w and Enter while devrun runs"),
    (&["-1", "--once", "--oneshot"], "`--no-watch` runs COMMAND without watching"),
];

/// The remedy for an unknown option, if it is one of another program.
pub(super) fn remedy(option: &str) -> Option<&'static str> {
    HABITS.iter().find(|(names, _)| names.contains(&option)).map(|(_, remedy)| *remedy)
}
