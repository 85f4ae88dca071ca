//! The environment of a child, and the paths that its program name may mean.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use crate::change::Batch;
use crate::supervise::command::Command;
use crate::supervise::env_file::{self, EnvFileError, Environment};

use super::exec::OWN_PID;

/// Maximum length of `DEVRUN_CHANGED` in bytes, because the size of an environment is bounded. It is cut at
/// the end of a path.
const MAX_CHANGED_LENGTH: usize = 4096;
/// Search path of a child without `PATH`, as in execvp(3).
const DEFAULT_PATH: &str = "/bin:/usr/bin";
/// Maximum number of sockets that the caller of this process is believed to have passed to it.
const MAX_INHERITED: u32 = 1024;
/// Variables of this process that a child does not inherit: they are about sockets that were passed to this
/// process.
const STRIPPED: [&str; 5] =
    ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_FDS_FIRST_FD", "LISTEN_PIDFDID"];

/// Checks that the environment files of a command can be used, as they are now.
///
/// # Errors
/// [`EnvFileError`]: the first mistake, with its line.
pub fn check_env_files(command: &Command) -> Result<(), EnvFileError> {
    of_command(command).map(drop)
}

/// The environment of this process with the variables of a command.
pub(super) fn of_command(command: &Command) -> Result<Environment, EnvFileError> {
    let mut environment: Environment = std::env::vars_os().collect();
    for name in STRIPPED {
        environment.remove(OsStr::new(name));
    }
    for file in &command.env_files {
        env_file::add(file, &mut environment)?;
    }
    environment.extend(command.envs.iter().cloned());
    Ok(environment)
}

/// The value of one variable of a command, as far as its environment files can be used.
pub(crate) fn variable(command: &Command, name: &str) -> Option<OsString> {
    of_command(command).ok()?.remove(OsStr::new(name))
}

/// Number of sockets, from descriptor 3 on, that the caller of this process has passed to it
/// (`sd_listen_fds(3)`).
pub(super) fn inherited_sockets() -> usize {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    let is_for_us = number("LISTEN_PID") == Some(std::process::id());
    number("LISTEN_FDS").filter(|_| is_for_us).map_or(0, |count| count.min(MAX_INHERITED) as usize)
}

/// The environment as `execve(2)` takes it, and the placeholder for `LISTEN_PID` if sockets are passed.
pub(super) fn to_block(environment: &Environment, passes_sockets: bool) -> Vec<CString> {
    let pairs = environment.iter().map(|(name, value)| {
        let mut pair = OsString::with_capacity(name.len() + value.len() + 2);
        pair.push(name);
        pair.push("=");
        pair.push(value);
        to_c_string(pair)
    });
    pairs.chain(passes_sockets.then(|| CString::new(OWN_PID).unwrap_or_default())).collect()
}

/// A string for the system. It ends at the first NUL byte, which no name, value or path can contain.
pub(super) fn to_c_string(text: impl Into<OsString>) -> CString {
    let mut bytes = text.into().into_vec();
    bytes.truncate(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
    CString::new(bytes).unwrap_or_default()
}

/// The files that a program name may mean, in the order of the child's `PATH`.
pub(super) fn candidates(program: &OsStr, environment: &Environment) -> Vec<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return vec![program.into()];
    }
    let path = environment.get(OsStr::new("PATH")).map_or(OsStr::new(DEFAULT_PATH), OsString::as_os_str);
    // `join` keeps the name as it is for an empty entry, which means the working directory.
    std::env::split_paths(path).map(|dir| dir.join(program)).collect()
}

/// Value of `DEVRUN_CHANGED`: one changed path per line.
pub(super) fn changed_paths(batch: &Batch) -> OsString {
    let mut text = OsString::new();
    for change in &batch.changes {
        if text.len() + change.path.as_os_str().len() + 1 > MAX_CHANGED_LENGTH {
            break;
        }
        if !text.is_empty() {
            text.push("\n");
        }
        text.push(&change.path);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_paths_are_cut_at_the_end_of_a_path() {
        let changes = (0..1000).map(|number| crate::change::Change {
            path: format!("/project/src/file-{number:04}.rs").into(),
            kind: crate::change::ChangeKind::Modified,
        });
        let now = std::time::Instant::now();
        let text =
            changed_paths(&Batch { changes: changes.collect(), first_event_at: now, compared_at: now });
        assert!(text.len() <= MAX_CHANGED_LENGTH && text.len() > MAX_CHANGED_LENGTH - 64);
        assert!(text.to_string_lossy().lines().all(|line| line.ends_with(".rs")));
    }
}
