//! Parses the words of the command line. An error of the parser becomes a message and a remedy, which may be the line
//! to type instead.

use std::borrow::Cow;
use std::error::Error as _;
use std::ffi::{OsStr, OsString};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Parser as _};

use super::habits;
use crate::cli::commands::Cli;
use crate::ui::{CliError, escape_bytes};

/// What the user typed.
pub(crate) enum Parsed {
    /// The text of `--help` or `--version`, for standard output.
    Help(clap::builder::StyledStr),
    /// Valid arguments.
    Arguments(Box<Cli>),
}

/// Parses the words. The first one is the name of the program.
pub(crate) fn parse(words: &[OsString]) -> Result<Parsed, CliError> {
    let words = &*plain(words);
    match Cli::try_parse_from(words) {
        Ok(arguments) => Ok(Parsed::Arguments(Box::new(arguments))),
        Err(error)
            if error.kind() == ErrorKind::DisplayHelp
                && words.get(1..).is_some_and(|rest| rest == ["-h"]) =>
        {
            Ok(Parsed::Help(short_help()))
        }
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(Parsed::Help(error.render())),
            _ => Err(missing_dashes(words)
                .or_else(|| dashes_instead_of_value(words, error.kind()))
                .unwrap_or_else(|| usage_error(&error, &program(words)))),
        },
    }
}

/// The words without `run`, which means the same, and with `devrun help check` as `devrun check --help`.
fn plain(words: &[OsString]) -> Cow<'_, [OsString]> {
    let is_run = |word: &OsString| word == "run";
    match words {
        [program, verb, rest @ ..] if is_run(verb) => {
            Cow::Owned([std::slice::from_ref(program), rest].concat())
        }
        [program, help, rest @ ..] if help == "help" && rest.len() <= 1 => {
            let verb = rest.iter().filter(|verb| !is_run(verb)).cloned();
            Cow::Owned(std::iter::once(program.clone()).chain(verb).chain(["--help".into()]).collect())
        }
        _ => Cow::Borrowed(words),
    }
}

/// The text of `devrun -h`, which fits a screen. The subcommands that the usage names and that are not for the first day
/// have their lines in `devrun --help`.
fn short_help() -> clap::builder::StyledStr {
    let names = [
        "logs",
        "wait",
        "why",
        "restart",
        "stop",
        "start",
        "pause",
        "resume",
        "attach",
        "down",
        "mcp",
        "completions",
        "man",
    ];
    let hide =
        |command: clap::Command, name| command.mut_subcommand(name, |subcommand| subcommand.hide(true));
    names.into_iter().fold(Cli::command(), hide).render_help()
}

/// Quotes a word for a POSIX shell, if it needs quotes.
pub(crate) fn quoted(word: &OsStr) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,+@%".contains(&byte) || byte >= 0x80;
    let bytes = word.as_encoded_bytes();
    let shown = escape_bytes(bytes);
    if !bytes.is_empty() && bytes.iter().all(|byte| plain(*byte)) {
        return shown;
    }
    format!("'{}'", shown.replace('\'', r"'\''"))
}

/// The command whose `--help` fits the typed words: `devrun` or, for example, `devrun check`.
fn program(words: &[OsString]) -> String {
    let command = Cli::command();
    let subcommand =
        words.get(1).and_then(|word| word.to_str()).filter(|word| command.find_subcommand(word).is_some());
    subcommand.map_or("devrun".into(), |subcommand| format!("devrun {subcommand}"))
}

/// The error for a COMMAND without `--` before it, as in `devrun -w src cargo run`.
fn missing_dashes(words: &[OsString]) -> Option<CliError> {
    let at = (1..words.len()).take_while(|at| words[*at] != *"--").find(|at| is_unexpected(words, *at))?;
    let (options, command) = words[1..].split_at(at - 1);
    let first = command.first()?;
    let shown = escape_bytes(first.as_encoded_bytes());
    let cli = Cli::command();
    let subcommands: Vec<&str> = cli.get_subcommands().map(clap::Command::get_name).collect();
    if let Some(subcommand) = subcommands.iter().find(|subcommand| first == **subcommand) {
        let line = devrun_line(&[std::slice::from_ref(first), options, &command[1..]]);
        return Some(
            CliError::new(format!("options of `{subcommand}` come after `{subcommand}`")).with_remedy(line),
        );
    }
    let line = devrun_line(&[options, &["--".into()], command]);
    let error = CliError::new(format!("`{shown}` is not a subcommand; write `--` before COMMAND"));
    let visible = cli.get_subcommands().filter(|verb| !verb.is_hide_set()).map(clap::Command::get_name);
    Some(match nearest(&shown, visible) {
        Some(near) if command.len() == 1 && options.is_empty() => {
            error.with_remedy(format!("did you mean `devrun {near}`? To run a program: {line}"))
        }
        _ => error.with_remedy(line),
    })
}

/// The error for a `--` where the value of an option is expected, as in `devrun --proxy -- app`.
fn dashes_instead_of_value(words: &[OsString], kind: ErrorKind) -> Option<CliError> {
    if kind != ErrorKind::UnknownArgument {
        return None;
    }
    let at = words.iter().position(|word| word == "--")?;
    let typed = words.get(at.checked_sub(1)?)?.to_str()?;
    let command = Cli::command();
    let option = command.get_arguments().find(|option| {
        option.get_long().is_some_and(|long| typed.strip_prefix("--") == Some(long))
            || option.get_short().is_some_and(|short| typed == format!("-{short}"))
    })?;
    let needs_value = option.get_action().takes_values() && !option.is_require_equals_set();
    let long = option.get_long().filter(|_| needs_value)?;
    let error = CliError::new(format!("--{long} needs a value"));
    Some(error.with_remedy(format!("`devrun --help` shows an example of --{long}")))
}

/// A line that the user can type.
fn devrun_line(parts: &[&[OsString]]) -> String {
    let words = parts.iter().flat_map(|part| part.iter()).map(|word| quoted(word));
    std::iter::once("devrun".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// Whether the words before this position parse, and the word here is the first that does not.
fn is_unexpected(words: &[OsString], at: usize) -> bool {
    let is_extra_word = |error: &clap::Error| {
        let kinds = [ErrorKind::InvalidSubcommand, ErrorKind::UnknownArgument, ErrorKind::ArgumentConflict];
        kinds.contains(&error.kind()) && !words[at].as_encoded_bytes().starts_with(b"-")
    };
    Cli::try_parse_from(&words[..at]).is_ok_and(|arguments| arguments.subcommand.is_none())
        && Cli::try_parse_from(&words[..=at]).is_err_and(|error| is_extra_word(&error))
}

/// The error of clap as one sentence with a remedy. `program` is the command whose help fits: `devrun` or, for
/// example, `devrun check`.
pub(crate) fn usage_error(error: &clap::Error, program: &str) -> CliError {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let list = |kind| match error.get(kind) {
        Some(ContextValue::Strings(list)) => list.as_slice(),
        _ => &[],
    };
    // `--debounce` for `--debounce <DUR>`.
    let name = |shown: &str| shown.split([' ', '=', '[']).next().unwrap_or_default().to_owned();
    let option = text(ContextKind::InvalidArg).map(name);
    let choices = list(ContextKind::ValidValue);
    let values = format!("the values are: {}", choices.join(", "));
    let (message, remedy) = match (error.kind(), option, text(ContextKind::InvalidValue)) {
        (ErrorKind::ValueValidation, Some(option), Some(value)) => {
            let reason = error.source().map(ToString::to_string).unwrap_or_default();
            let (what, remedy) = reason.split_once("; ").unwrap_or((&reason, ""));
            (format!("{option}: bad value '{value}': {what}"), remedy.to_owned())
        }
        (ErrorKind::InvalidValue, Some(option), Some(value)) if !value.is_empty() => {
            let remedy = match nearest(value, choices.iter().map(String::as_str)) {
                Some(near) => format!("did you mean {near}? Values: {}", choices.join(", ")),
                None => values,
            };
            (format!("{option}: unknown value '{value}'"), remedy)
        }
        // A positional argument such as `[PATH]...` has no name before its bracket.
        (ErrorKind::InvalidValue, Some(option), _) if option.is_empty() => {
            ("an argument is empty".into(), "leave it out, or write `.` for this directory".into())
        }
        (ErrorKind::InvalidValue, Some(option), _) => {
            let example = format!("`{program} --help` shows an example of {option}");
            (format!("{option} needs a value"), if choices.is_empty() { example } else { values })
        }
        (ErrorKind::UnknownArgument, Some(option), _) => {
            let what = if option.starts_with('-') { "unknown option" } else { "unexpected argument" };
            let remedy = match (habits::remedy(&option, program), text(ContextKind::SuggestedArg)) {
                (Some(habit), _) => habit.into_owned(),
                (None, Some(near)) => format!("did you mean {}?", name(near)),
                (None, None) => format!("`{program} -h` lists the options"),
            };
            (format!("{what} '{option}'"), remedy)
        }
        (ErrorKind::MissingRequiredArgument, ..) => {
            let missing = list(ContextKind::InvalidArg).join(", ");
            let remedy = if missing.starts_with("--") {
                format!("add {missing}: another option needs it")
            } else {
                format!("`{program} -h` shows the arguments")
            };
            (format!("{missing} is missing"), remedy)
        }
        _ => rendered(error, program),
    };
    let error = CliError::new(message);
    if remedy.is_empty() { error } else { error.with_remedy(remedy) }
}

/// The first sentence of the message that clap writes, with its tips as the remedy.
fn rendered(error: &clap::Error, program: &str) -> (String, String) {
    let text = error.render().to_string();
    let mut paragraphs = text.split("\n\n");
    let first = paragraphs.next().unwrap_or_default();
    let message = first.strip_prefix("error: ").unwrap_or(first);
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let tips: Vec<&str> =
        paragraphs.flat_map(str::lines).filter_map(|line| line.trim_start().strip_prefix("tip: ")).collect();
    let remedy = match (tips.is_empty(), error.kind()) {
        (false, _) => tips.join("; "),
        (true, ErrorKind::ArgumentConflict) => "leave one of them out".into(),
        (true, _) => format!("`{program} -h` lists the options"),
    };
    (message, remedy)
}

/// The known word that is most similar to this one, if any is similar enough.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= limit || shares_beginning(word, candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Whether one word begins with the other, without `-` and `_`: `ready` and `ready-path`, `stop_signal` and
/// `stop-signal`, `extensions` and `ext`.
fn shares_beginning(word: &str, candidate: &str) -> bool {
    let bare = |text: &str| text.replace(['-', '_'], "").to_ascii_lowercase();
    let (word, candidate) = (bare(word), bare(candidate));
    word.len() >= 3 && candidate.len() >= 3 && (word.starts_with(&candidate) || candidate.starts_with(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_mistakes_find_their_word() {
        let known = ["paths", "ext", "debounce", "stop-timeout", "ready-path"];
        assert_eq!(nearest("debonce", known), Some("debounce"));
        assert_eq!(nearest("pahts", known), Some("paths"));
        assert_eq!(nearest("extensions", known), Some("ext"));
        assert_eq!(nearest("stop_timeout", known), Some("stop-timeout"));
        assert_eq!(nearest("colour", known), None);
    }
}
