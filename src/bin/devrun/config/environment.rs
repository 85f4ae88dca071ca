//! Options from the DEVRUN_* variables. Each variable has the name of its option.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use clap::{Arg, ArgAction, CommandFactory as _, FromArgMatches as _};

use crate::cli::args::{AllOptions, ConfigSource, Options};
use crate::cli::suggest::nearest;
use crate::cli::usage_error::usage_error;
use crate::config::toml_options::check_word;
use crate::ui::CliError;

const PREFIX: &str = "DEVRUN_";

/// Variables with this prefix that are not options. devrun sets them for COMMAND, or reads them elsewhere.
const OTHER_VARIABLES: &[&str] = &["DEVRUN_GENERATION", "DEVRUN_CHANGED", "DEVRUN_LOG", "DEVRUN_ENV"];

/// The options of the environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    /// DEVRUN_CONFIG and DEVRUN_PROFILE.
    pub(crate) source: ConfigSource,
    /// All other options.
    pub(crate) options: Options,
    /// A message and a remedy for each variable that looks like a misspelled option.
    pub(crate) warnings: Vec<(String, String)>,
}

/// The variable of an option: `--stop-timeout` -> `DEVRUN_STOP_TIMEOUT`. `--env` has none: it sets variables
/// itself, and projects use the name DEVRUN_ENV for other purposes.
pub(crate) fn variable(long: &str) -> Option<String> {
    (long != "env").then(|| format!("{PREFIX}{}", long.replace('-', "_").to_ascii_uppercase()))
}

/// Reads the variables that begin with DEVRUN_.
///
/// # Errors
/// A [`CliError`] that names the variable, the problem and the remedy.
pub(crate) fn read(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<Environment, CliError> {
    let ours = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok().filter(|name| name.starts_with(PREFIX))?, value))
    };
    let variables: Vec<_> = variables.filter_map(ours).collect();
    if variables.is_empty() {
        // Skips the definitions of all options, which take longer than all the rest.
        return Ok(Environment::default());
    }
    let mut command = AllOptions::command();
    command.build();
    let mut words = vec![OsString::from("devrun")];
    let mut warnings = Vec::new();
    for (name, value) in &variables {
        match option_of(&command, name) {
            // An empty variable counts as unset.
            Some(_) if value.is_empty() => {}
            Some(option) if matches!(option.get_action(), ArgAction::Count) => {
                words.extend(repeated(option, name, value)?)
            }
            Some(option) => {
                let typed = option_words(option, value);
                probe(option, &typed, name)?;
                words.extend(typed);
            }
            None => warnings.extend(warning(&command, name)),
        }
    }
    let matches = command.try_get_matches_from_mut(words).map_err(|error| usage_error(&error, "devrun"))?;
    let options = AllOptions::from_arg_matches(&matches).map_err(|error| usage_error(&error, "devrun"))?;
    Ok(Environment { source: options.source, options: options.options, warnings })
}

fn option_of<'a>(command: &'a clap::Command, name: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|arg| arg.get_long().and_then(variable).as_deref() == Some(name))
}

/// Parses the words of one variable alone, so that the error names the variable.
fn probe(option: &Arg, typed: &[OsString], name: &str) -> Result<(), CliError> {
    typed.iter().try_for_each(|word| check_word(option, word)).map_err(|error| {
        usage_error(&error, "devrun").with_context(&format!("the variable {name} has a bad value"))
    })
}

/// `DEVRUN_VERBOSE=2` is `--verbose --verbose`.
fn repeated(option: &Arg, name: &str, value: &OsStr) -> Result<Vec<OsString>, CliError> {
    let times = value.to_str().and_then(|text| text.trim().parse::<u8>().ok()).ok_or_else(|| {
        let value = value.to_string_lossy();
        CliError::new(format!("the variable {name} has a bad value: '{value}' is not a number"))
            .with_remedy(format!("write {name}=1 or {name}=2"))
    })?;
    let long = option.get_long().unwrap_or_default();
    Ok(vec![OsString::from(format!("--{long}")); usize::from(times.min(9))])
}

/// The words for a variable: `--option=value` for each value. A list has one value per line, a list of paths has
/// the separator of PATH.
fn option_words(option: &Arg, value: &OsStr) -> Vec<OsString> {
    let is_path = matches!(option.get_value_hint(), clap::ValueHint::AnyPath | clap::ValueHint::FilePath);
    let values: Vec<OsString> = if !matches!(option.get_action(), ArgAction::Append) {
        vec![value.to_owned()]
    } else if is_path {
        std::env::split_paths(value).map(PathBuf::into_os_string).collect()
    } else {
        value.as_bytes().split(|byte| *byte == b'\n').map(|line| OsStr::from_bytes(line).to_owned()).collect()
    };
    let start = OsString::from(format!("--{}=", option.get_long().unwrap_or_default()));
    let word = |value: OsString| [start.as_os_str(), value.as_os_str()].into_iter().collect();
    values.into_iter().filter(|value| !value.is_empty()).map(word).collect()
}

/// The warning for a variable that no option has, if its name is similar to one.
fn warning(command: &clap::Command, name: &str) -> Option<(String, String)> {
    if OTHER_VARIABLES.contains(&name) {
        return None;
    }
    let known: Vec<String> = command.get_arguments().filter_map(Arg::get_long).filter_map(variable).collect();
    let bare = |name: &str| name[PREFIX.len()..].to_owned();
    let short: Vec<String> = known.iter().map(|name| bare(name)).collect();
    let near = nearest(&bare(name), short.iter().map(String::as_str))?;
    Some((format!("the variable {name} is not an option of devrun"), format!("did you mean {PREFIX}{near}?")))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn no_variable_gives_the_same_as_an_empty_command_line() {
        let none = read([("HOME".into(), "/".into())].into_iter()).unwrap();
        let nothing = AllOptions::parse_from(["devrun"]);
        assert_eq!(format!("{:?}", none.source), format!("{:?}", nothing.source));
        assert_eq!(format!("{:?}", none.options), format!("{:?}", nothing.options));
        assert!(none.warnings.is_empty());
    }
}
