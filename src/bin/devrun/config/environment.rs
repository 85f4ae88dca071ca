//! Options from the DEVRUN_* variables. Each variable has the name of its option.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use clap::{Arg, ArgAction, CommandFactory as _, Parser as _};

use crate::cli::args::Options;
use crate::cli::parse::{nearest, usage_error};
use crate::config::file::check_word;
use crate::ui::CliError;

const PREFIX: &str = "DEVRUN_";

/// Variables with this prefix that are not options. devrun sets them for COMMAND, or reads them elsewhere.
const OTHER_VARIABLES: &[&str] = &["DEVRUN_GENERATION", "DEVRUN_CHANGED", "DEVRUN_LOG", "DEVRUN_ENV"];

/// The variable of an option: `--stop-timeout` -> `DEVRUN_STOP_TIMEOUT`. `--env` has none: it sets variables
/// itself, and projects use the name DEVRUN_ENV for other purposes.
pub(crate) fn variable(long: &str) -> Option<String> {
    (long != "env").then(|| format!("{PREFIX}{}", long.replace('-', "_").to_ascii_uppercase()))
}

/// Reads the variables that begin with DEVRUN_: their options, and a message and a remedy for each variable that looks
/// like a misspelled option.
pub(crate) fn read(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<(Options, Vec<(String, String)>), CliError> {
    let ours = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok().filter(|name| name.starts_with(PREFIX))?, value))
    };
    let variables: Vec<_> = variables.filter_map(ours).collect();
    if variables.is_empty() {
        // Skips the definitions of all options, which take longer than all the rest.
        return Ok(Default::default());
    }
    let command = Options::command();
    let mut words = vec![OsString::from("devrun")];
    let mut warnings = Vec::new();
    for (name, value) in &variables {
        let options = &mut command.get_arguments();
        match options.find(|option| option.get_long().and_then(variable).as_ref() == Some(name)) {
            // An empty variable counts as unset.
            Some(_) if value.is_empty() => {}
            Some(option) => {
                let typed = option_words(option, name, value)?;
                // Each word alone, so that the error names the variable.
                typed.iter().try_for_each(|word| check_word(option, word)).map_err(|error| {
                    let context = format!("the variable {name} has a bad value");
                    usage_error(&error, "devrun").with_context(&context)
                })?;
                words.extend(typed);
            }
            None => warnings.extend(warning(&command, name)),
        }
    }
    let options = Options::try_parse_from(words).map_err(|error| usage_error(&error, "devrun"))?;
    Ok((options, warnings))
}

/// The words for a variable: `--option=value` for each value. A list has one value per line, a list of paths has
/// the separator of PATH. `DEVRUN_VERBOSE=2` is `--verbose --verbose`.
fn option_words(option: &Arg, name: &str, value: &OsStr) -> Result<Vec<OsString>, CliError> {
    let long = option.get_long().unwrap_or_default();
    let is_path = matches!(option.get_value_hint(), clap::ValueHint::AnyPath | clap::ValueHint::FilePath);
    let values: Vec<OsString> = match option.get_action() {
        ArgAction::Count => {
            let times = value.to_str().and_then(|text| text.trim().parse::<u8>().ok()).ok_or_else(|| {
                let value = value.to_string_lossy();
                CliError::new(format!("the variable {name} has a bad value: '{value}' is not a number"))
                    .with_remedy(format!("write {name}=1 or {name}=2"))
            })?;
            return Ok(vec![OsString::from(format!("--{long}")); usize::from(times.min(9))]);
        }
        ArgAction::Append if is_path => std::env::split_paths(value).map(PathBuf::into_os_string).collect(),
        ArgAction::Append => {
            let lines = value.as_bytes().split(|byte| *byte == b'\n');
            lines.map(|line| OsStr::from_bytes(line).to_owned()).collect()
        }
        _ => vec![value.to_owned()],
    };
    let start = OsString::from(format!("--{long}="));
    let word = |value: OsString| [start.as_os_str(), value.as_os_str()].into_iter().collect();
    Ok(values.into_iter().filter(|value| !value.is_empty()).map(word).collect())
}

/// The warning for a variable that no option has, if its name is similar to one.
fn warning(command: &clap::Command, name: &str) -> Option<(String, String)> {
    if OTHER_VARIABLES.contains(&name) {
        return None;
    }
    let known: Vec<String> = command.get_arguments().filter_map(Arg::get_long).filter_map(variable).collect();
    let known = known.iter().map(|name| &name[PREFIX.len()..]);
    let near = nearest(&name[PREFIX.len()..], known)?;
    Some((format!("the variable {name} is not an option of devrun"), format!("did you mean {PREFIX}{near}?")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_variable_gives_the_same_as_an_empty_command_line() {
        let (none, warnings) = read([("HOME".into(), "/".into())].into_iter()).unwrap();
        let nothing = Options::parse_from(["devrun"]);
        assert_eq!(format!("{none:?}"), format!("{nothing:?}"));
        assert!(warnings.is_empty());
    }
}
