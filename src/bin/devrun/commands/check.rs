//! `devrun check`: lints the ignore rules and tests them against expectations, for CI.

use std::io;
use std::path::{Path, PathBuf};

use devrun::rules::{
    Decision, EntryKind, Expectation, LintOptions, LintReport, Rules, Scope, Severity, lint, tracked_files,
};
use devrun::watch::Selection;

use crate::cli::commands::CheckFormat;
use crate::config::paths::is_below;
use crate::config::resolved::settings::Settings;
use crate::report::check::{github, human, json, sarif};
use crate::ui::error::{CliError, ExitCode};
use crate::ui::escape::escape_text;
use crate::ui::terminal::Terminal;

/// Lints the rules and prints the findings.
pub(crate) fn run(
    settings: Settings,
    format: CheckFormat,
    terminal: &mut Terminal,
) -> Result<ExitCode, CliError> {
    let rules = Rules::new(settings.rules_options()).map_err(|error| CliError::from_library(&error))?;
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
    Ok(exit_code(&report, settings.check.strict))
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
    let selection =
        Selection::new(&settings.watch_options()).map_err(|error| CliError::from_library(&error))?;
    let roots = &settings.watch.roots;
    let expectations_of = |paths: &[PathBuf], expected: Decision| -> Vec<Expectation> {
        paths.iter().map(|path| expectation(path, expected, &selection, roots)).collect()
    };
    let expectations = [
        expectations_of(&check.expect_ignored, Decision::Ignored),
        expectations_of(&check.expect_watched, Decision::Watched),
    ];
    let mut tracked = Vec::new();
    for root in roots {
        tracked.extend(tracked_below(root)?);
    }
    tracked.sort_unstable();
    tracked.dedup();
    Ok(LintOptions { tracked, matches_nothing: check.matches_nothing, expectations: expectations.concat() })
}

fn expectation(path: &Path, expected: Decision, selection: &Selection, roots: &[PathBuf]) -> Expectation {
    let kind = EntryKind::of_path(path);
    let scope = if !is_below(path, roots) {
        Scope::OutsideRoots
    } else if kind == EntryKind::File && !selection.wants(path) {
        Scope::NotSelected
    } else {
        Scope::Inside
    };
    Expectation { path: path.to_path_buf(), kind, expected, scope }
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
