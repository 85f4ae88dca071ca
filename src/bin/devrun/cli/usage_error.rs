//! Errors of the command line and of variables: clap's error as a message and a remedy.

use std::error::Error as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::cli::suggest::nearest;
use crate::ui::error::CliError;

/// What clap says, in our form: one sentence, and the remedy. `program` is `devrun` or `devrun check`: where
/// help can be had.
pub(crate) fn usage_error(error: &clap::Error, program: &str) -> CliError {
    let value = context(error, ContextKind::InvalidValue);
    let option = context(error, ContextKind::InvalidArg).map(bare_option);
    match (error.kind(), option, value) {
        (ErrorKind::ValueValidation, Some(option), Some(value)) => {
            let reason = error.source().map(ToString::to_string).unwrap_or_default();
            let (what, remedy) = reason.split_once("; ").unwrap_or((&reason, ""));
            let failure = CliError::new(format!("{option}: bad value '{value}': {what}"));
            if remedy.is_empty() { failure } else { failure.with_remedy(remedy) }
        }
        (ErrorKind::InvalidValue, Some(option), Some(value)) if !value.is_empty() => {
            let words = words_of(error);
            let failure = CliError::new(format!("{option}: '{value}' is none of the words it takes"));
            match nearest(&value, words.iter().map(String::as_str)) {
                Some(near) => failure.with_remedy(format!("did you mean {near}? All: {}", words.join(", "))),
                None => failure.with_remedy(format!("one of: {}", words.join(", "))),
            }
        }
        (ErrorKind::InvalidValue, Some(option), _) => {
            let words = words_of(error);
            // `[PATH]...` is an argument by its place.
            if option.is_empty() {
                return CliError::new("an argument is empty")
                    .with_remedy("leave it out, or write `.` for this directory");
            }
            let failure = CliError::new(format!("{option} needs a value"));
            match words.is_empty() {
                true => failure.with_remedy(format!("`{program} --help` shows an example of {option}")),
                false => failure.with_remedy(format!("one of: {}", words.join(", "))),
            }
        }
        (ErrorKind::UnknownArgument, Some(option), _) => {
            let what = if option.starts_with('-') { "unknown option" } else { "unexpected argument" };
            let failure = CliError::new(format!("{what} '{option}'"));
            match context(error, ContextKind::SuggestedArg) {
                Some(near) => failure.with_remedy(format!("did you mean {}?", bare_option(near))),
                None => failure.with_remedy(format!("`{program} -h` lists the options")),
            }
        }
        (ErrorKind::MissingRequiredArgument, ..) => {
            let missing = match error.get(ContextKind::InvalidArg) {
                Some(ContextValue::Strings(missing)) => missing.join(", "),
                _ => "an argument".into(),
            };
            let failure = CliError::new(format!("{missing} is missing"));
            match missing.starts_with("--") {
                true => failure.with_remedy(format!("add {missing}: it goes with what was typed")),
                false => failure.with_remedy(format!("`{program} -h` shows what is needed")),
            }
        }
        _ => as_rendered(error, program),
    }
}

/// The first sentence of what clap writes, and its tip.
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

/// `--debounce <DUR>` -> `--debounce`.
fn bare_option(shown: String) -> String {
    shown.split([' ', '=', '[']).next().unwrap_or_default().to_owned()
}

fn words_of(error: &clap::Error) -> Vec<String> {
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(words)) => words.clone(),
        _ => Vec::new(),
    }
}
