//! Parses the words of the command line. A wrong command line becomes an error with the line to type instead.

use std::ffi::{OsStr, OsString};

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};

use crate::cli::commands::Cli;
use crate::cli::suggest::nearest;
use crate::cli::usage_error::usage_error;
use crate::ui::{CliError, escape_bytes};

/// What the user typed.
pub(crate) enum Parsed {
    /// The text of `--help` or `--version`, for standard output.
    Help(clap::builder::StyledStr),
    /// Valid arguments.
    Arguments(Box<Cli>),
}

/// Parses the words. The first one is the name of the program.
///
/// # Errors
/// A [`CliError`]. If the user forgot the `--` before COMMAND, its remedy is the complete line.
pub(crate) fn parse(words: &[OsString]) -> Result<Parsed, CliError> {
    match Cli::try_parse_from(words) {
        Ok(arguments) => Ok(Parsed::Arguments(Box::new(arguments))),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(Parsed::Help(error.render())),
            _ => Err(missing_dashes(words)
                .or_else(|| dashes_instead_of_value(words, error.kind()))
                .unwrap_or_else(|| usage_error(&error, &program(words)))),
        },
    }
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
    if first == "help" {
        return Some(help_is_an_option(command, &subcommands));
    }
    if let Some(subcommand) = subcommands.iter().find(|subcommand| first == **subcommand) {
        let line = devrun_line(&[std::slice::from_ref(first), options, &command[1..]]);
        return Some(
            CliError::new(format!("options of `{subcommand}` come after `{subcommand}`")).with_remedy(line),
        );
    }
    let line = devrun_line(&[options, &["--".into()], command]);
    let error = CliError::new(format!("`{shown}` is not a subcommand; write `--` before COMMAND"));
    Some(match nearest(&shown, subcommands) {
        Some(near) if command.len() == 1 && options.is_empty() => {
            error.with_remedy(format!("did you mean `devrun {near}`? To run a program: {line}"))
        }
        _ => error.with_remedy(line),
    })
}

fn help_is_an_option(command: &[OsString], subcommands: &[&str]) -> CliError {
    let subcommand = command.get(1).and_then(|word| word.to_str()).filter(|word| subcommands.contains(word));
    let line =
        subcommand.map_or("devrun --help".to_owned(), |subcommand| format!("devrun {subcommand} --help"));
    CliError::new("there is no subcommand `help`").with_remedy(line)
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
