//! Checks the git repository, and problems of the kind of project.

use std::ffi::OsStr;

use super::command_checks::find_program;
use super::finding::Finding;
use crate::config::resolved::settings::Settings;
use crate::project;

/// Checks whether the rules of git apply, and whether a git command is running.
pub(super) fn git(settings: &Settings) -> Vec<Finding> {
    let Some(top) = settings.base.ancestors().find(|dir| dir.join(".git").exists()) else {
        return vec![Finding::note("git", "no repository: only .watchignore and the built-in rules apply")];
    };
    let name = settings.shown(top);
    if !settings.watch.vcs {
        let message = format!("the rules of the repository at {name} do not apply, as configured");
        return vec![Finding::good("git", message)];
    }
    let is_installed = find_program(OsStr::new("git"), None).is_some();
    let rules = if is_installed {
        Finding::good("git", format!("the rules of the repository at {name} apply"))
    } else {
        Finding::note(
            "git",
            "git is not installed: devrun uses git's defaults for core.excludesFile and core.ignoreCase",
        )
    };
    let lock = top.join(".git/index.lock");
    let lock = lock.exists().then(|| {
        let lock = settings.shown(&lock);
        Finding::warning("git-lock", format!("{lock} exists: devrun delays restarts while git is running"))
            .with_remedy(format!("if no git command is running, remove the file: rm {lock}"))
    });
    std::iter::once(rules).chain(lock).collect()
}

/// Checks for known problems of the kind of project.
pub(super) fn project_kind(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    if matches!(project::recognise(&settings.base).kind, Some("Python" | "Flask" | "FastAPI" | "Django")) {
        findings.push(python_bytecode());
    }
    let name = OsStr::new(".watchdogignore");
    if settings.base.join(name).exists() && settings.watch.file_names.iter().all(|known| known != name) {
        findings.push(
            Finding::warning(
                "watchdogignore",
                "nothing reads .watchdogignore: `ignore-file` does not name it",
            )
            .with_remedy("`devrun init` copies its rules into a .watchignore"),
        );
    }
    findings
}

/// Without bytecode, Python compiles every module again at each start.
fn python_bytecode() -> Finding {
    match std::env::var_os("PYTHONDONTWRITEBYTECODE") {
        Some(value) if !value.is_empty() => Finding::warning(
            "python-bytecode",
            "PYTHONDONTWRITEBYTECODE is set: Python compiles every module again at each restart",
        )
        .with_remedy("unset it: devrun removes stale .pyc files"),
        _ => Finding::good("python-bytecode", "Python writes .pyc files, and devrun removes stale ones"),
    }
}
