//! `devrun check`: lints the rules and holds them to expectations, for CI.

use std::path::{Path, PathBuf};

use devrun::rules::{Expectation, Inspection, Report, Rules, Severity, lint, tracked_files};
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
    let report = lint(&rules, &inspection(&settings)?);
    match format {
        CheckFormat::Human => human::write(&report, &Names::new(&settings.directory), terminal),
        CheckFormat::Json => json::write(&report, &Names::new(&settings.directory), terminal),
        CheckFormat::Github => github::write(&report, &Names::new(workspace(&settings)), terminal),
        CheckFormat::Sarif => sarif::write(&report, &Names::new(workspace(&settings)), terminal),
    }?;
    terminal.flush()?;
    for (dir, why) in &report.unread {
        let message = format!("{} cannot be read: {}", settings.shown(dir), escape_text(why));
        terminal.warn(message, "rule files in it are not checked; make it readable, or ignore it");
    }
    Ok(exit_code(&report, settings.check.strict))
}

/// 1 if something fails: errors, and with `--strict` warnings too. 2 if a part could not be looked at.
fn exit_code(report: &Report, strict: bool) -> ExitCode {
    let bar = if strict { Severity::Warning } else { Severity::Error };
    if report.findings.iter().any(|finding| finding.severity >= bar) {
        ExitCode::Findings
    } else if !report.unread.is_empty() {
        ExitCode::Failed
    } else {
        ExitCode::Success
    }
}

fn inspection(settings: &Settings) -> Result<Inspection, CliError> {
    let check = &settings.check;
    let selection =
        Selection::new(&settings.watch_options()).map_err(|error| CliError::from_library(&error))?;
    let roots = &settings.watch.roots;
    let ignored = check.expect_ignored.iter().map(|path| expectation(path, true, &selection, roots));
    let watched = check.expect_watched.iter().map(|path| expectation(path, false, &selection, roots));
    let expectations = ignored.chain(watched).collect();
    let mut files = Vec::new();
    for root in &settings.watch.roots {
        files.extend(tracked(root)?);
    }
    files.sort_unstable();
    files.dedup();
    Ok(Inspection { tracked: files, matches_nothing: check.matches_nothing, expectations })
}

fn expectation(path: &Path, ignored: bool, selection: &Selection, roots: &[PathBuf]) -> Expectation {
    let typed_as_dir = path.as_os_str().as_encoded_bytes().ends_with(b"/");
    let is_dir = typed_as_dir || path.symlink_metadata().is_ok_and(|kind| kind.is_dir());
    let left_out = !is_dir && !selection.wants(path);
    let outside = !is_below(path, roots);
    Expectation { path: path.to_path_buf(), is_dir, left_out, outside, ignored }
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
