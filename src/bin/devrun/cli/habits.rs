//! Options of other programs that users type by habit, and what does the same here.

use std::borrow::Cow;

use clap::{Command, CommandFactory as _};

use super::commands::Cli;

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
    (&["--why"], "`devrun why` asks a running devrun; on its terminal, type w and Enter"),
    (&["-1", "--once", "--oneshot"], "`--no-watch` runs COMMAND without watching"),
];

/// The remedy for an unknown option of `devrun` or of a subcommand, if it is one of another program, or of `devrun`
/// itself. A subcommand gets the remedies only that name options which it has.
pub(super) fn remedy(option: &str, program: &str) -> Option<Cow<'static, str>> {
    let habit = HABITS.iter().find(|(names, _)| names.contains(&option)).map(|(_, remedy)| *remedy);
    let devrun = Cli::command();
    let Some((_, verb)) = program.split_once(' ') else { return habit.map(Cow::Borrowed) };
    if let (Some(habit), Some(command)) = (habit, devrun.find_subcommand(verb)) {
        let mut named = options_in(habit).peekable();
        if named.peek().is_some() && named.all(|named| has_option(command, named)) {
            return Some(Cow::Borrowed(habit));
        }
    }
    let is_known = habit.is_some() || has_option(&devrun, option);
    is_known.then(|| format!("`{program}` runs no COMMAND: `{program} -h` lists its options").into())
}

/// The options that a remedy names: `--proxy` in "`--proxy PORT` holds the port".
fn options_in(remedy: &str) -> impl Iterator<Item = &str> {
    let quoted = remedy.split('`').skip(1).step_by(2);
    quoted.filter_map(|text| text.split(' ').next()).filter(|word| word.starts_with('-') && *word != "--")
}

/// Whether a command has an option: `--proxy` or `-v`.
fn has_option(command: &Command, option: &str) -> bool {
    let named = |arg: &clap::Arg| {
        let long = arg.get_long().is_some_and(|long| option.strip_prefix("--") == Some(long));
        long || arg
            .get_short()
            .is_some_and(|short| option.strip_prefix('-') == Some(short.encode_utf8(&mut [0; 4])))
    };
    command.get_arguments().any(named)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::cli::parse::{Parsed, parse};

    #[test]
    fn the_remedy_of_a_habit_names_options_of_the_command_where_it_is_typed() {
        let devrun = Cli::command();
        for (habit, _) in
            HABITS.iter().flat_map(|(names, remedy)| names.iter().map(move |name| (*name, remedy)))
        {
            for command in std::iter::once(&devrun).chain(devrun.get_subcommands()) {
                let verb = command.get_name();
                let verb = (verb != "devrun").then(|| OsString::from(verb));
                let words: Vec<_> =
                    std::iter::once("devrun".into()).chain(verb).chain([habit.into()]).collect();
                let remedy = match parse(&words) {
                    Err(error) => error.remedy.unwrap_or_default(),
                    Ok(Parsed::Arguments(_) | Parsed::Help(_)) => continue,
                };
                assert!(!remedy.is_empty() && !remedy.contains("did you mean"), "{words:?}: {remedy}");
                for option in options_in(&remedy).filter(|option| *option != "-h") {
                    assert!(has_option(command, option), "{words:?}: {remedy}");
                }
            }
        }
    }
}
