//! `devrun check`: lints the ignore rules and tests them against expectations, for CI.

use std::io;
use std::path::{Path, PathBuf};

use devrun::rules::{
    Decision, EntryKind, Expectation, LintOptions, LintReport, Severity, lint, tracked_files,
};

use crate::cli::commands::CheckFormat;
use crate::config::Settings;
use crate::report::check::{github, human, json, sarif};
use crate::ui::{CliError, ExitCode, Terminal, escape_text};

/// Lints the rules and prints the findings.
pub(crate) fn run(
    settings: Settings,
    format: CheckFormat,
    terminal: &mut Terminal,
) -> Result<ExitCode, CliError> {
    let rules = settings.rules()?;
    let report = lint(&rules, &lint_options(&settings)?);
    match format {
        CheckFormat::Human => human::write(&report, &settings.directory, terminal),
        CheckFormat::Json => json::write(&report, &settings.directory, terminal),
        CheckFormat::Github => github::write(&report, workspace(&settings.directory).as_ref(), terminal),
        CheckFormat::Sarif => sarif::write(&report, workspace(&settings.directory).as_ref(), terminal),
    }?;
    terminal.flush()?;
    for (dir, reason) in &report.unreadable_dirs {
        let message = format!("cannot read {}: {}", settings.shown(dir), escape_text(reason));
        terminal.warn(message, "rule files in it are not checked: make it readable, or ignore it");
    }
    Ok(exit_code(&report, settings.check.strict == Some(true)))
}

/// Findings make the check fail if they are errors, or with `--strict` warnings. Otherwise an unreadable
/// directory does.
fn exit_code(report: &LintReport, strict: bool) -> ExitCode {
    let failing = if strict { Severity::Warning } else { Severity::Error };
    if report.findings.iter().any(|finding| finding.severity >= failing) {
        ExitCode::Findings
    } else if !report.unreadable_dirs.is_empty() {
        ExitCode::Failed
    } else {
        ExitCode::Success
    }
}

fn lint_options(settings: &Settings) -> Result<LintOptions, CliError> {
    let check = &settings.check;
    let selection = settings.selection()?;
    let ignored = check.expect_ignored.iter().flatten().map(|path| (path, Decision::Ignored));
    let watched = check.expect_watched.iter().flatten().map(|path| (path, Decision::Watched));
    let expectation = |(path, expected): (&PathBuf, Decision)| {
        let kind = EntryKind::of_path(path);
        Expectation { path: path.clone(), kind, expected, scope: settings.scope(path, kind, &selection) }
    };
    let mut tracked = Vec::new();
    for root in &settings.session.watch.roots {
        tracked.extend(tracked_below(root)?);
    }
    tracked.sort_unstable();
    tracked.dedup();
    Ok(LintOptions {
        tracked,
        matches_nothing: check.matches_nothing == Some(true),
        expectations: ignored.chain(watched).map(expectation).collect(),
    })
}

/// The files under version control below a root. None if git is not installed.
fn tracked_below(root: &Path) -> Result<Vec<PathBuf>, CliError> {
    if !root.is_dir() {
        return Ok(Vec::new());
    }
    match tracked_files(root, std::env::vars_os()) {
        Ok(files) => Ok(files),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(CliError::failed_to("list the files under version control", &error)),
    }
}

/// The directory to which GitHub and SARIF paths are relative: the checked-out repository, not the working
/// directory.
fn workspace(directory: &Path) -> PathBuf {
    let named = std::env::var_os("GITHUB_WORKSPACE").map(PathBuf::from);
    named.filter(|workspace| directory.starts_with(workspace)).unwrap_or_else(|| directory.to_owned())
}
