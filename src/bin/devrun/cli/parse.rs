//! From words to arguments, and the errors for words that are none. Merges nothing, prints nothing.

use std::ffi::{OsStr, OsString};

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};

use crate::cli::commands::CommandArgs;
use crate::cli::suggest::nearest;
use crate::cli::usage_error::usage_error;
use crate::ui::error::CliError;
use crate::ui::escape::escape_bytes;

/// What was typed.
pub(crate) enum Typed {
    /// Help or the version was asked for: to standard output.
    Asked(clap::builder::StyledStr),
    /// Arguments.
    Args(Box<CommandArgs>),
}

/// Parses the words, the program's name first.
///
/// # Errors
/// A [`CliError`] with the line to type where a COMMAND stands without `--`.
pub(crate) fn parse(words: &[OsString]) -> Result<Typed, CliError> {
    match CommandArgs::try_parse_from(words) {
        Ok(args) => Ok(Typed::Args(Box::new(args))),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(Typed::Asked(error.render())),
            _ => Err(command_without_dashes(words)
                .or_else(|| dashes_for_value(words, error.kind()))
                .unwrap_or_else(|| usage_error(&error, &program(words)))),
        },
    }
}

/// `devrun`, or `devrun check`: whose help helps.
fn program(words: &[OsString]) -> String {
    let command = CommandArgs::command();
    let verb =
        words.get(1).and_then(|word| word.to_str()).filter(|word| command.find_subcommand(word).is_some());
    verb.map_or("devrun".into(), |verb| format!("devrun {verb}"))
}

/// `devrun -w src cargo run`: the first word that is neither an option, nor an option's value, nor a subcommand.
fn command_without_dashes(words: &[OsString]) -> Option<CliError> {
    let at = (1..words.len()).take_while(|at| words[*at] != *"--").find(|at| is_stray(words, *at))?;
    let (options, command) = words[1..].split_at(at - 1);
    let first = command.first()?;
    let shown = escape_bytes(first.as_encoded_bytes());
    let verbs = || CommandArgs::command().get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    let verbs: Vec<String> = verbs();
    if first == "help" {
        let verb = command
            .get(1)
            .and_then(|verb| verb.to_str())
            .filter(|verb| verbs.iter().any(|known| known == verb));
        let line = verb.map_or("devrun --help".to_owned(), |verb| format!("devrun {verb} --help"));
        return Some(CliError::new("`help` is an option, no subcommand").with_remedy(line));
    }
    if let Some(verb) = verbs.iter().find(|verb| first == verb.as_str()) {
        let line = line(&[std::slice::from_ref(first), options, &command[1..]]);
        return Some(CliError::new(format!("options of `{verb}` come after it")).with_remedy(line));
    }
    let line = line(&[options, &["--".into()], command]);
    let failure = CliError::new(format!("`{shown}` is no subcommand; a COMMAND comes after `--`"));
    Some(match nearest(&shown, verbs.iter().map(String::as_str)) {
        Some(verb) if command.len() == 1 && options.is_empty() => {
            failure.with_remedy(format!("did you mean `devrun {verb}`? To run a program: {line}"))
        }
        _ => failure.with_remedy(line),
    })
}

/// `devrun --proxy -- app`: the `--` stands where the option's value should.
fn dashes_for_value(words: &[OsString], kind: ErrorKind) -> Option<CliError> {
    if kind != ErrorKind::UnknownArgument {
        return None;
    }
    let at = words.iter().position(|word| word == "--")?;
    let typed = words.get(at.checked_sub(1)?)?.to_str()?;
    let command = CommandArgs::command();
    let option = command.get_arguments().find(|arg| {
        arg.get_long().is_some_and(|long| typed.strip_prefix("--") == Some(long))
            || arg.get_short().is_some_and(|short| typed == format!("-{short}"))
    })?;
    let needs_value = option.get_action().takes_values() && !option.is_require_equals_set();
    let long = option.get_long().filter(|_| needs_value)?;
    let failure = CliError::new(format!("--{long} needs a value"));
    Some(failure.with_remedy(format!("`devrun --help` shows an example of --{long}")))
}

/// A command line to type.
fn line(parts: &[&[OsString]]) -> String {
    let words = parts.iter().flat_map(|part| part.iter()).map(|word| quoted(word));
    std::iter::once("devrun".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// Whether the words before this one are good, and with it they are not, because it is a word too many.
fn is_stray(words: &[OsString], at: usize) -> bool {
    let stray = |error: &clap::Error| {
        let kinds = [ErrorKind::InvalidSubcommand, ErrorKind::UnknownArgument, ErrorKind::ArgumentConflict];
        kinds.contains(&error.kind()) && !words[at].as_encoded_bytes().starts_with(b"-")
    };
    CommandArgs::try_parse_from(&words[..at]).is_ok_and(|args| args.subcommand.is_none())
        && CommandArgs::try_parse_from(&words[..=at]).is_err_and(|error| stray(&error))
}

/// A word as the shell takes it back.
pub(crate) fn quoted(word: &OsStr) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,+@%".contains(&byte) || byte >= 0x80;
    let bytes = word.as_encoded_bytes();
    let shown = escape_bytes(bytes);
    if !bytes.is_empty() && bytes.iter().all(|byte| plain(*byte)) {
        return shown;
    }
    format!("'{}'", shown.replace('\'', r"'\''"))
}
