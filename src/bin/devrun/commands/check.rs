//! `devrun check`: lints the rules and holds them to expectations, for CI.

use std::path::{Path, PathBuf};

use devrun::rules::{
    Decision, EntryKind, Expectation, LintOptions, LintReport, Rules, Scope, Severity, lint, tracked_files,
};
use devrun::watch::Selection;

use crate::cli::choices::CheckFormat;
use crate::config::settings::Settings;
use crate::config::validate::is_below;
use crate::report::check::location::Names;
use crate::report::check::{github, human, json, sarif};
use crate::ui::error::{CliError, ExitCode};
use crate::ui::escape::escape_text;
use crate::ui::terminal::Terminal;

/// Lints the rules and holds them to the expectations of `settings.check`.
pub(crate) fn run(
    settings: Settings,
    format: CheckFormat,
    terminal: &mut Terminal,
) -> Result<ExitCode, CliError> {
    let rules = Rules::new(settings.rules_options()).map_err(|error| CliError::from_library(&error))?;
    let report = lint(&rules, &lint_options(&settings)?);
    match format {
        CheckFormat::Human => human::write(&report, &Names::new(&settings.directory), terminal),
        CheckFormat::Json => json::write(&report, &Names::new(&settings.directory), terminal),
        CheckFormat::Github => github::write(&report, &Names::new(workspace(&settings)), terminal),
        CheckFormat::Sarif => sarif::write(&report, &Names::new(workspace(&settings)), terminal),
    }?;
    terminal.flush()?;
    for (dir, why) in &report.unreadable_dirs {
        let message = format!("{} cannot be read: {}", settings.shown(dir), escape_text(why));
        terminal.warn(message, "rule files in it are not checked; make it readable, or ignore it");
    }
    Ok(exit_code(&report, settings.check.strict))
}

/// 1 if something fails: errors, and with `--strict` warnings too. 2 if a part could not be looked at.
fn exit_code(report: &LintReport, strict: bool) -> ExitCode {
    let bar = if strict { Severity::Warning } else { Severity::Error };
    if report.findings.iter().any(|finding| finding.severity >= bar) {
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
    let ignored =
        check.expect_ignored.iter().map(|path| expectation(path, Decision::Ignored, &selection, roots));
    let watched =
        check.expect_watched.iter().map(|path| expectation(path, Decision::Watched, &selection, roots));
    let expectations = ignored.chain(watched).collect();
    let mut files = Vec::new();
    for root in &settings.watch.roots {
        files.extend(tracked(root)?);
    }
    files.sort_unstable();
    files.dedup();
    Ok(LintOptions { tracked: files, matches_nothing: check.matches_nothing, expectations })
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

/// Without git nothing is under version control, as far as anybody can say.
fn tracked(root: &Path) -> Result<Vec<PathBuf>, CliError> {
    if !root.is_dir() {
        return Ok(Vec::new());
    }
    match tracked_files(root, std::env::vars_os()) {
        Ok(files) => Ok(files),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(CliError::failed_to("list the files under version control", &error)),
    }
}

/// What services count paths from: the checked-out sources, not the directory of this step.
fn workspace(settings: &Settings) -> PathBuf {
    let named = std::env::var_os("GITHUB_WORKSPACE").map(PathBuf::from);
    named.filter(|dir| settings.directory.starts_with(dir)).unwrap_or_else(|| settings.directory.clone())
}
