//! The linter: runs all checks and collects their findings.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::effect_checks::{below_excluded_dirs, failed_expectation, ignored_tracked_files};
use super::finding::{Finding, Severity};
use super::line_checks::check_lines;
use super::options::LintOptions;
use super::redundancy::redundant_rules;
use super::tree_walk::TreeWalk;
use super::unused_rules::{FileAndBase, unused_rules};
use crate::rules::layer::Layer;
use crate::rules::rule_file::RuleFile;
use crate::rules::rules::Rules;

/// The result of [`lint`].
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct LintReport {
    /// The findings, by file, line and column. Findings without a location come last.
    pub findings: Vec<Finding>,
    /// The number of checked rule files. [`Options::patterns`](crate::rules::Options::patterns) counts as
    /// one.
    pub files: usize,
    /// The number of checked rules.
    pub rules: usize,
    /// The number of directories that count.
    pub directories: u64,
    /// The directories that cannot be read, and why.
    pub unreadable_dirs: Vec<(PathBuf, String)>,
}

impl LintReport {
    /// The number of findings of a severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

/// Checks the rule files of a project: nested files that apply,
/// [`Options::files`](crate::rules::Options::files) and
/// [`Options::patterns`](crate::rules::Options::patterns). Files of the user alone (`info/exclude`,
/// `core.excludesFile`) are not checked.
///
/// Walks the watched trees, without ignored directories.
///
/// ```
/// use devrun::rules::{FindingId, LintOptions, Options, Rules, lint};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let dir = tempfile::tempdir()?;
/// std::fs::write(dir.path().join(".watchignore"), "/downloads/\n!/downloads/keep.py\n")?;
/// let report = lint(&Rules::new(Options::new(dir.path()))?, &LintOptions::default());
///
/// let finding = &report.findings[0];
/// assert_eq!(finding.id, FindingId::UnreachableNegation);
/// assert_eq!(finding.location.as_ref().map(|location| location.line), Some(2));
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn lint(rules: &Rules, options: &LintOptions) -> LintReport {
    let walk = TreeWalk::run(rules);
    let files = checked_files(rules);
    let mut findings: Vec<Finding> = walk.findings().collect();
    for (file, base) in &files {
        findings.extend(check_lines(file));
        findings.extend(redundant_rules(file));
        findings.extend(below_excluded_dirs(rules, file, base));
    }
    findings.extend(ignored_tracked_files(rules, &options.tracked));
    let failed = options.expectations.iter().filter_map(|expected| failed_expectation(rules, expected));
    findings.extend(failed);
    if options.matches_nothing {
        findings.extend(unused_rules(rules, &files));
    }
    sort(&mut findings);
    LintReport {
        findings,
        files: files.len(),
        rules: files.iter().map(|(file, _)| file.rules().len()).sum(),
        directories: walk.directories(),
        unreadable_dirs: walk.into_unreadable_dirs(),
    }
}

/// The files that are checked.
fn checked_files(rules: &Rules) -> Vec<FileAndBase> {
    let files_by_path = rules.files_by_path();
    let base_of = |file: &RuleFile| {
        let source = file.source();
        let is_given_by_path = source.is_some_and(|source| files_by_path.iter().any(|path| path == source));
        match file.layer() {
            Layer::Patterns => (!file.rules().is_empty()).then(|| rules.base()),
            Layer::Watchignore | Layer::Gitignore if is_given_by_path => Some(rules.base()),
            Layer::Watchignore | Layer::Watchdogignore | Layer::Gitignore => source.and_then(Path::parent),
            _ => None,
        }
        .map(Path::to_path_buf)
    };
    let with_base = |file: Arc<RuleFile>| base_of(&file).map(|base| (file, base));
    rules.rule_files().into_iter().filter_map(with_base).collect()
}

fn sort(findings: &mut [Finding]) {
    findings.sort_by(|a, b| {
        let key = |finding: &Finding| {
            let location = finding.location.as_ref();
            let file = location.and_then(|location| location.file.clone());
            let position = location.map(|location| (location.line, location.column));
            (location.is_none(), file, position, finding.id)
        };
        key(a).cmp(&key(b)).then_with(|| a.message.cmp(&b.message))
    });
}
