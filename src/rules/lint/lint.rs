//! The linter: its options, its report, and the run of all checks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::allow::Allowed;
use super::effect_checks::{below_excluded_dirs, failed_expectation, ignored_tracked_files};
use super::finding::{Finding, FindingId, Severity};
use super::line_checks::check_lines;
use super::redundancy::redundant_rules;
use super::tree::{FileAndBase, TreeWalk, unused_rules};
use crate::rules::pattern::EntryKind;
use crate::rules::rule_file::RuleFile;
use crate::rules::rules::Rules;
use crate::rules::verdict::{Decision, Layer};

/// Checks that [`lint`](lint()) makes in addition to those of the rule files.
#[derive(Debug, Clone, Default)]
pub struct LintOptions {
    /// Files under version control, absolute. Each ignored one is reported with the rule that ignores it. See
    /// [`tracked_files`](crate::rules::tracked_files).
    pub tracked: Vec<PathBuf>,
    /// Report rules that match nothing. This walks the whole tree, ignored directories included.
    pub matches_nothing: bool,
    /// Paths whose decision is fixed in advance; each other decision is reported.
    pub expectations: Vec<Expectation>,
    /// Kinds of findings that are counted, but not reported.
    pub allow: Vec<FindingId>,
    /// The rule files that are checked.
    pub only: CheckedFiles,
}

impl LintOptions {
    /// Whether findings of this kind are searched for.
    fn check(&self, id: FindingId) -> bool {
        match id {
            FindingId::MatchesNothing => self.matches_nothing,
            FindingId::HidesTrackedFile => !self.tracked.is_empty(),
            FindingId::ExpectationFailed => !self.expectations.is_empty(),
            _ => true,
        }
    }
}

/// Which rule files are checked. Findings without a location are always reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CheckedFiles {
    /// All.
    #[default]
    All,
    /// Those that only devrun reads.
    Devrun,
    /// Those that git reads too.
    Git,
}

impl CheckedFiles {
    fn include(self, layer: Layer) -> bool {
        match self {
            Self::All => true,
            Self::Devrun => layer != Layer::Gitignore,
            Self::Git => layer == Layer::Gitignore,
        }
    }
}

/// A path and the decision that the rules must make about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// The path, absolute.
    pub path: PathBuf,
    /// The kind of the path; the path need not exist.
    pub kind: EntryKind,
    /// The decision that is expected.
    pub expected: Decision,
    /// Whether the watch looks at the path at all.
    pub scope: Scope,
}

/// Whether a watch looks at a path, before any rule is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// The rules decide.
    Inside,
    /// The path lies in no root, so nothing there is watched.
    OutsideRoots,
    /// The extensions and filters of the watch leave the file out.
    NotSelected,
}

/// The result of [`lint`].
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct LintReport {
    /// The findings, by file, line and column. Findings without a location come last.
    ///
    /// A comment `# devrun: allow ID` allows findings of the rule below it, and [`LintOptions::allow`] allows all of a
    /// kind.
    pub findings: Vec<Finding>,
    /// The number of findings that are allowed, and therefore not reported.
    pub allowed: usize,
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
    let all_files = checked_files(rules);
    let is_checked = |file: &RuleFile| options.only.include(file.layer);
    let mut files = all_files.clone();
    files.retain(|(file, _)| is_checked(file));
    let mut findings = walk.findings;
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
    let mut allowed = Allowed::read(files.iter().map(|(file, _)| file));
    findings.retain(|finding| {
        let place = finding.location.as_ref().and_then(|location| location.file.as_deref());
        let file =
            place.and_then(|path| all_files.iter().find(|(file, _)| file.source.as_deref() == Some(path)));
        file.is_none_or(|(file, _)| is_checked(file))
    });
    let mut found = findings.len();
    findings.retain(|finding| !allowed.allows(finding));
    let of_comments = allowed.into_findings(|id| options.check(id));
    found += of_comments.len();
    findings.extend(of_comments);
    findings.retain(|finding| !options.allow.contains(&finding.id));
    let allowed = found - findings.len();
    findings.sort_by_cached_key(|finding| {
        let location = finding.location.as_ref();
        let position = location.map(|location| (location.file.clone(), location.line, location.column));
        (location.is_none(), position, finding.id, finding.message.clone())
    });
    LintReport {
        findings,
        allowed,
        files: files.len(),
        rules: files.iter().map(|(file, _)| file.rules.len()).sum(),
        directories: walk.directories,
        unreadable_dirs: walk.unreadable_dirs,
    }
}

/// The files that are checked.
fn checked_files(rules: &Rules) -> Vec<FileAndBase> {
    let options = rules.options();
    let with_base = |file: Arc<RuleFile>| {
        let base = match (file.layer, &file.source) {
            (Layer::Patterns, _) => (!file.rules.is_empty()).then_some(options.base.as_path()),
            (Layer::Watchignore, Some(path)) if options.files.contains(path) => Some(options.base.as_path()),
            (Layer::Watchignore | Layer::Watchdogignore | Layer::Gitignore, Some(path)) => path.parent(),
            _ => None,
        };
        base.map(Path::to_path_buf).map(|base| (file, base))
    };
    rules.rule_files().into_iter().filter_map(with_base).collect()
}
