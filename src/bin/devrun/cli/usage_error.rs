//! Errors of the command line and of variables: clap's error as a message and a remedy.

use std::error::Error as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::cli::suggest::nearest;
use crate::ui::CliError;

/// The error of clap as one sentence with a remedy. `program` is the command whose help fits: `devrun` or, for
/// example, `devrun check`.
pub(crate) fn usage_error(error: &clap::Error, program: &str) -> CliError {
    let value = context(error, ContextKind::InvalidValue);
    let option = context(error, ContextKind::InvalidArg).map(option_name);
    match (error.kind(), option, value) {
        (ErrorKind::ValueValidation, Some(option), Some(value)) => bad_value(error, &option, &value),
        (ErrorKind::InvalidValue, Some(option), Some(value)) if !value.is_empty() => {
            unknown_value(error, &option, &value)
        }
        (ErrorKind::InvalidValue, Some(option), _) => missing_value(error, &option, program),
        (ErrorKind::UnknownArgument, Some(option), _) => unknown_argument(error, &option, program),
        (ErrorKind::MissingRequiredArgument, ..) => missing_argument(error, program),
        _ => as_rendered(error, program),
    }
}

fn bad_value(error: &clap::Error, option: &str, value: &str) -> CliError {
    let reason = error.source().map(ToString::to_string).unwrap_or_default();
    let (what, remedy) = reason.split_once("; ").unwrap_or((&reason, ""));
    let bad = CliError::new(format!("{option}: bad value '{value}': {what}"));
    if remedy.is_empty() { bad } else { bad.with_remedy(remedy) }
}

fn unknown_value(error: &clap::Error, option: &str, value: &str) -> CliError {
    let choices = choices(error);
    let unknown = CliError::new(format!("{option}: unknown value '{value}'"));
    match nearest(value, choices.iter().map(String::as_str)) {
        Some(near) => unknown.with_remedy(format!("did you mean {near}? Values: {}", choices.join(", "))),
        None => unknown.with_remedy(format!("the values are: {}", choices.join(", "))),
    }
}

fn missing_value(error: &clap::Error, option: &str, program: &str) -> CliError {
    // A positional argument such as `[PATH]...` has no name before its bracket.
    if option.is_empty() {
        return CliError::new("an argument is empty")
            .with_remedy("leave it out, or write `.` for this directory");
    }
    let choices = choices(error);
    let missing = CliError::new(format!("{option} needs a value"));
    if choices.is_empty() {
        missing.with_remedy(format!("`{program} --help` shows an example of {option}"))
    } else {
        missing.with_remedy(format!("the values are: {}", choices.join(", ")))
    }
}

fn unknown_argument(error: &clap::Error, option: &str, program: &str) -> CliError {
    let what = if option.starts_with('-') { "unknown option" } else { "unexpected argument" };
    let unknown = CliError::new(format!("{what} '{option}'"));
    match context(error, ContextKind::SuggestedArg) {
        Some(near) => unknown.with_remedy(format!("did you mean {}?", option_name(near))),
        None => unknown.with_remedy(format!("`{program} -h` lists the options")),
    }
}

fn missing_argument(error: &clap::Error, program: &str) -> CliError {
    let missing = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::Strings(missing)) => missing.join(", "),
        _ => "an argument".into(),
    };
    let error = CliError::new(format!("{missing} is missing"));
    if missing.starts_with("--") {
        error.with_remedy(format!("add {missing}: another option needs it"))
    } else {
        error.with_remedy(format!("`{program} -h` shows the arguments"))
    }
}

/// The first sentence of the message that clap writes, with its tips as the remedy.
fn as_rendered(error: &clap::Error, program: &str) -> CliError {
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
    CliError::new(message).with_remedy(remedy)
}

fn context(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    }
}

/// The option without its value: `--debounce` for `--debounce <DUR>`.
fn option_name(shown: String) -> String {
    shown.split([' ', '=', '[']).next().unwrap_or_default().to_owned()
}

/// The values that the option accepts.
fn choices(error: &clap::Error) -> Vec<String> {
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(choices)) => choices.clone(),
        _ => Vec::new(),
    }
}
