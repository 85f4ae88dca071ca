//! Checks that need all layers together: rules below an excluded directory, ignored files under version
//! control, and expectations.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::finding::{Finding, FindingId, Location, Severity};
use super::lint::{Expectation, Scope};
use crate::Remedy;
use crate::rules::path_key;
use crate::rules::pattern::{EntryKind, Matcher, Target};
use crate::rules::rule_file::{RuleFile, RuleLine};
use crate::rules::rules::Rules;
use crate::rules::verdict::{Decision, Layer, Rule};

/// Maximum number of files that a finding about tracked files names.
const MAX_NAMED_FILES: usize = 3;

/// Finds rules about paths below an excluded directory. There, a `!` has no effect, and no other rule is
/// needed. `base` is the directory that the file's rules are relative to.
pub(super) fn below_excluded_dirs(rules: &Rules, file: &RuleFile, base: &Path) -> Vec<Finding> {
    file.rules.iter().filter_map(|rule| below_excluded_dir(rules, file, rule, base)).collect()
}

fn below_excluded_dir(rules: &Rules, file: &RuleFile, rule: &RuleLine, base: &Path) -> Option<Finding> {
    let (dir, by) = excluding_rule(rules, rule, base)?;
    let is_git_layer = matches!(by.layer, Layer::Gitignore | Layer::GitExclude | Layer::GitGlobal);
    if file.layer == Layer::Gitignore && !is_git_layer {
        // The rule has its effect in git. That devrun excludes more does not make it wrong.
        return None;
    }
    let shown = dir.strip_prefix(base).unwrap_or(&dir).display();
    let location = Location::rule(file, rule);
    let finding = if rule.pattern.negated {
        let message =
            format!("this rule has no effect: `{shown}/` above it is excluded, and git never looks in there");
        let remedy = format!("exclude the entries instead of the directory: `{shown}/*`, and then this line");
        Finding::new(FindingId::UnreachableNegation, location, message, remedy)
    } else {
        let message = format!("this rule is not needed: all of `{shown}/` is excluded already");
        Finding::new(FindingId::ShadowedRule, location, message, "remove it").severity(Severity::Note)
    };
    Some(match location_of(rules, &by) {
        Some(location) => finding.related(location, format!("excludes `{shown}/`")),
        None => finding.label(format!("excluded by {}", name_of(rules, &by))),
    })
}

/// The highest excluded directory that contains all paths which the rule can match, and the rule that
/// excludes it.
fn excluding_rule(rules: &Rules, rule: &RuleLine, base: &Path) -> Option<(PathBuf, Arc<Rule>)> {
    let prefix = match (rule.pattern.target, &rule.pattern.matcher) {
        (Target::FileName, _) | (_, Matcher::Never(_)) => return None,
        (Target::Path, Matcher::Literal(path)) => path,
        (Target::Path, Matcher::Glob(glob)) => &glob.prefix,
    };
    let slashes = prefix.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    for (slash, _) in slashes {
        let dir = base.join(path_key::path_from(&prefix[..slash]));
        let verdict = rules.verdict(&dir, EntryKind::Dir);
        if verdict.is_ignored() {
            return verdict.by.map(|by| (dir, by));
        }
    }
    None
}

/// Finds files under version control that are ignored. There is one finding for each rule.
pub(super) fn ignored_tracked_files(rules: &Rules, tracked: &[PathBuf]) -> Vec<Finding> {
    type FilesOfRule<'a> = (Arc<Rule>, Vec<&'a Path>);
    let mut ignored: BTreeMap<(Layer, Option<PathBuf>, u32, Vec<u8>), FilesOfRule<'_>> = BTreeMap::new();
    for path in tracked.iter().filter(|path| rules.is_ignored(path, EntryKind::File)) {
        let Some(by) = rules.verdict(path, EntryKind::File).by else { continue };
        let key = (by.layer, by.source.clone(), by.line, by.pattern.clone());
        ignored.entry(key).or_insert_with(|| (by, Vec::new())).1.push(path);
    }
    ignored.into_values().map(|(by, paths)| tracked_files_ignored_by(rules, &by, &paths)).collect()
}

fn tracked_files_ignored_by(rules: &Rules, by: &Rule, paths: &[&Path]) -> Finding {
    let shown = |path: &Path| path.strip_prefix(&rules.options().base).unwrap_or(path).display().to_string();
    let named: Vec<String> = paths.iter().take(MAX_NAMED_FILES).map(|path| shown(path)).collect();
    let more = paths.len() - named.len();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let (noun, them) = if paths.len() == 1 { ("a file that is", "it") } else { ("files that are", "them") };
    let message =
        format!("{} hides {noun} under version control: {}{more}", name_of(rules, by), named.join(", "));
    // devrun's own rules are meant to ignore such files: documents and settings of editors are under version
    // control, but are no sources.
    let is_git_layer = matches!(by.layer, Layer::Gitignore | Layer::GitExclude | Layer::GitGlobal);
    let (severity, remedy) = if !is_git_layer {
        let remedy =
            format!("nothing, if an edit there is no reason to restart; else take {them} back with `!`");
        (Severity::Note, remedy)
    } else {
        let remedy = format!("an edit there restarts nothing: take {them} back with `!` in .watchignore");
        (Severity::Warning, remedy)
    };
    Finding::new(FindingId::HidesTrackedFile, location_of(rules, by), message, remedy).severity(severity)
}

/// A finding if the decision about a path is not the expected one.
pub(super) fn failed_expectation(rules: &Rules, expectation: &Expectation) -> Option<Finding> {
    let verdict = rules.verdict(&expectation.path, expectation.kind);
    let is_in_scope = expectation.scope == Scope::Inside;
    let decision = if is_in_scope { verdict.decision } else { Decision::Ignored };
    let expected = expectation.expected;
    if decision == expected {
        return None;
    }
    let path = expectation.path.strip_prefix(&rules.options().base).unwrap_or(&expectation.path).display();
    let slash = if expectation.kind == EntryKind::Dir { "/" } else { "" };
    if !verdict.is_ignored() && !is_in_scope {
        let (reason, remedy) = match expectation.scope {
            Scope::NotSelected => ("no extension or filter wants it", Remedy::SelectFile),
            _ => ("lies outside what is watched", Remedy::AddRoot),
        };
        let message = format!("{path}{slash} must be {expected}, and {reason}");
        let finding = Finding::new(FindingId::ExpectationFailed, None, message, "");
        return Some(Finding { remedy, ..finding });
    }
    let by = verdict.by.as_deref();
    let because = by.map_or(": no rule matches it".into(), |by| format!(" by {}", name_of(rules, by)));
    let message = format!("{path}{slash} must be {expected}, and is {decision}{because}");
    let location = by.and_then(|by| location_of(rules, by));
    let remedy = match (expected, by) {
        (Decision::Ignored, None) => format!("add a rule for it, such as `/{path}{slash}`, to .watchignore"),
        (Decision::Ignored, Some(_)) => "put a rule for it below this one".into(),
        (Decision::Watched, _) => "narrow the rule, or take the path back with `!` below it".into(),
    };
    Some(Finding::new(FindingId::ExpectationFailed, location, message, remedy).label("decides"))
}

/// The location of a rule; `None` for the built-in table.
fn location_of(rules: &Rules, rule: &Rule) -> Option<Location> {
    if rule.layer == Layer::Builtin {
        return None;
    }
    let files = rules.rule_files();
    let file = files.iter().find(|file| file.source == rule.source && file.layer == rule.layer)?;
    let line = file.rules.iter().find(|line| line.number == rule.line)?;
    Some(Location::rule(file, line))
}

fn name_of(rules: &Rules, rule: &Rule) -> String {
    let pattern = String::from_utf8_lossy(&rule.pattern);
    match (rule.layer, &rule.source) {
        (Layer::Builtin, Some(file)) => {
            let file = file.strip_prefix(&rules.options().base).unwrap_or(file);
            format!("`{}`", file.display())
        }
        (Layer::Builtin, None) => format!("the built-in rule `{pattern}`"),
        _ => format!("`{pattern}`"),
    }
}
