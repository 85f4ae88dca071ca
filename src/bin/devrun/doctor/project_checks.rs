//! Checks the git repository, COMMAND, and problems of the kind of project.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use devrun::Command;
use devrun::supervise::Shell;

use super::diagnose::{Finding, failure, good, note, warning};
use crate::config::Settings;
use crate::inner_reloader;
use crate::project::Project;
use crate::ui::{escape_bytes, escape_path};

/// Checks whether the rules of git apply, and whether a git command is running.
pub(super) fn git(settings: &Settings) -> Vec<Finding> {
    let Some(top) = settings.base.ancestors().find(|dir| dir.join(".git").exists()) else {
        return vec![note("git", "no repository: only .watchignore and the built-in rules apply")];
    };
    let name = settings.shown(top);
    if !settings.session.watch.rules.vcs {
        let message = format!("the rules of the repository at {name} do not apply, as configured");
        return vec![good("git", message)];
    }
    let is_installed = find_program(OsStr::new("git"), None).is_some();
    let rules = if is_installed {
        good("git", format!("the rules of the repository at {name} apply"))
    } else {
        note(
            "git",
            "git is not installed: devrun uses git's defaults for core.excludesFile and core.ignoreCase",
        )
    };
    let lock = top.join(".git/index.lock");
    let lock = lock.exists().then(|| {
        let lock = settings.shown(&lock);
        warning("git-lock", format!("{lock} exists: devrun delays restarts while git is running"))
            .with_remedy(format!("if no git command is running, remove the file: rm {lock}"))
    });
    std::iter::once(rules).chain(lock).collect()
}

/// Checks for known problems of the kind of project.
pub(super) fn project_kind(settings: &Settings, project: &Project) -> Vec<Finding> {
    let mut findings = Vec::new();
    if project.source.as_ref().is_some_and(|source| source.ends_with(".py")) {
        findings.push(python_bytecode());
    }
    if let (None, Some(missing)) = (settings.command(), &project.missing) {
        findings.push(note("project", format!("the command that runs this project is not known: {missing}")));
    }
    let name = OsStr::new(".watchdogignore");
    if settings.base.join(name).exists()
        && settings.session.watch.rules.file_names.iter().all(|known| known != name)
    {
        findings.push(
            warning("watchdogignore", "nothing reads .watchdogignore: `ignore-file` does not name it")
                .with_remedy("rename it to .watchignore"),
        );
    }
    findings
}

/// Without bytecode, Python compiles every module again at each start.
fn python_bytecode() -> Finding {
    match std::env::var_os("PYTHONDONTWRITEBYTECODE") {
        Some(value) if !value.is_empty() => warning(
            "python-bytecode",
            "PYTHONDONTWRITEBYTECODE is set: Python compiles every module again at each restart",
        )
        .with_remedy("unset it: devrun removes stale .pyc files"),
        _ => good("python-bytecode", "Python writes .pyc files, and devrun removes stale ones"),
    }
}

/// Checks COMMAND, if there is one.
pub(super) fn command(settings: &Settings) -> Vec<Finding> {
    let Some(command) = settings.command() else { return Vec::new() };
    let has_build = !settings.session.supervise.builds.is_empty();
    // A shell reports a missing program itself.
    let program = (command.shell == Shell::None).then(|| check_program(command, has_build));
    let placeholder = settings
        .unfilled_placeholder()
        .map(|(message, remedy)| warning("port-placeholder", message).with_remedy(remedy));
    program.into_iter().chain(check_reloader(command)).chain(placeholder).collect()
}

/// The path of a program as COMMAND would be found: the path itself if it has a slash, otherwise from `PATH`.
fn find_program(program: &OsStr, workdir: Option<&Path>) -> Option<PathBuf> {
    if program.as_encoded_bytes().contains(&b'/') {
        let path = workdir.unwrap_or(Path::new("")).join(program);
        return is_executable(&path).then_some(path);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|path| is_executable(path))
}

fn check_program(command: &Command, has_build: bool) -> Finding {
    let name = escape_bytes(command.program.as_encoded_bytes());
    match find_program(&command.program, command.current_dir.as_deref()) {
        Some(path) => good("command", format!("COMMAND is {}", escape_path(&path))),
        None if has_build => {
            note("command", format!("COMMAND {name} does not exist yet: `build` must create it"))
        }
        None => failure("command", format!("COMMAND {name} is not found, or not executable"))
            .with_remedy("install it, or correct `command`"),
    }
}

/// Warns of a reloader inside of COMMAND, because it and devrun would both restart the server.
fn check_reloader(command: &Command) -> Option<Finding> {
    let reloader = inner_reloader::in_command(command)?;
    let message = format!("COMMAND has its own reloader ({}), beside devrun", reloader.name);
    Some(warning("reloader-inside", message).with_remedy(reloader.change))
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
