//! The whole inspection, and what it found.

use std::path::PathBuf;
use std::sync::Arc;

use super::effect_checks as effect;
use super::finding::{Finding, Severity};
use super::line_checks as lines;
use super::options::LintOptions;
use super::tree_walk as survey;
use crate::rules::layer::Layer;
use crate::rules::rule_file::RuleFile;
use crate::rules::rules::Rules;

/// What was found.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct LintReport {
    /// By file, line and column; those about no file last.
    pub findings: Vec<Finding>,
    /// How many rule files were looked at (patterns given by hand count as one).
    pub files: usize,
    /// How many rules.
    pub rules: usize,
    /// How many directories count.
    pub directories: u64,
    /// Directories that could not be read, and why.
    pub unreadable_dirs: Vec<(PathBuf, String)>,
}

impl LintReport {
    /// How many findings have a severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

/// Looks at the rule files of the project, as far as they count: per-directory files, files named by path, and
/// patterns given by hand. What belongs to the user alone (`info/exclude`, `core.excludesFile`) is not judged.
///
/// Walks the trees, without what is ignored.
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
/// assert_eq!(finding.location.as_ref().map(|place| place.line), Some(2));
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn lint(rules: &Rules, inspection: &LintOptions) -> LintReport {
    let seen = survey::survey(rules);
    let files = judged_files(rules);
    let mut findings: Vec<Finding> = seen.dead.into_iter().map(survey::dead_file).collect();
    for (file, base) in &files {
        findings.extend(lines::inspect(file));
        findings.extend(effect::under_excluded(rules, file, base));
    }
    findings.extend(effect::hidden_tracked(rules, &inspection.tracked));
    findings.extend(
        inspection.expectations.iter().filter_map(|wanted| effect::broken_expectation(rules, wanted)),
    );
    if inspection.matches_nothing {
        findings.extend(survey::idle_rules(rules, &files));
    }
    sort(&mut findings);
    LintReport {
        findings,
        files: files.len(),
        rules: files.iter().map(|(file, _)| file.lines.len()).sum(),
        directories: seen.directories,
        unreadable_dirs: seen.unread,
    }
}

/// The files that are judged, and the directory that their rules speak of.
fn judged_files(rules: &Rules) -> Vec<(Arc<RuleFile>, PathBuf)> {
    let by_path = rules.files_by_path();
    let judged = |file: &Arc<RuleFile>| match (file.layer, &file.source) {
        (Layer::Patterns, _) => (!file.lines.is_empty()).then(|| rules.base().to_path_buf()),
        (Layer::Watchignore | Layer::Gitignore, Some(source)) if by_path.contains(source) => {
            Some(rules.base().to_path_buf())
        }
        (Layer::Watchignore | Layer::Gitignore, Some(source)) => source.parent().map(PathBuf::from),
        _ => None,
    };
    rules.rule_files().into_iter().filter_map(|file| judged(&file).map(|base| (file, base))).collect()
}

fn sort(findings: &mut [Finding]) {
    findings.sort_by(|a, b| {
        let key = |finding: &Finding| {
            let place = finding.location.as_ref();
            let file = place.and_then(|place| place.file.clone());
            (place.is_none(), file, place.map(|place| (place.line, place.column)), finding.id)
        };
        key(a).cmp(&key(b)).then_with(|| a.message.cmp(&b.message))
    });
}
