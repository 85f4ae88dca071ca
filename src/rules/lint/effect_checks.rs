//! What shows only with all layers together: rules under an excluded directory, hidden files under version
//! control, expectations.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::finding::{Finding, FindingId, Location, Severity};
use super::options::{Expectation, Scope};
use crate::Remedy;
use crate::rules::layer::Layer;
use crate::rules::path_key as key;
use crate::rules::pattern::{EntryKind, Shape};
use crate::rules::rule_file::{Line, RuleFile};
use crate::rules::rules::Rules;
use crate::rules::verdict::{Decision, Rule};

/// Rules that speak of what lies below an excluded directory: a `!` there has no effect, and no other rule
/// is needed there.
pub(super) fn under_excluded(rules: &Rules, file: &RuleFile, base: &Path) -> Vec<Finding> {
    file.lines.iter().filter_map(|line| finding_under_excluded(rules, file, line, base)).collect()
}

fn finding_under_excluded(rules: &Rules, file: &RuleFile, line: &Line, base: &Path) -> Option<Finding> {
    let (dir, by) = excluded_above(rules, line, base)?;
    if file.layer == Layer::Gitignore
        && !matches!(by.layer, Layer::Gitignore | Layer::GitExclude | Layer::GitGlobal)
    {
        // What git is told is not wrong because devrun leaves out more.
        return None;
    }
    let shown = dir.strip_prefix(base).unwrap_or(&dir).display();
    let place = Location::rule(file, line);
    let finding = if line.pattern.negated {
        let message =
            format!("this rule has no effect: `{shown}/` above it is excluded, and git never looks in there");
        let remedy = format!("exclude the entries instead of the directory: `{shown}/*`, and then this line");
        Finding::new(FindingId::UnreachableNegation, place, message).remedy_text(remedy)
    } else {
        let message = format!("this rule is not needed: all of `{shown}/` is excluded already");
        Finding::new(FindingId::ShadowedRule, place, message)
            .severity(Severity::Note)
            .remedy_text("remove it")
    };
    Some(match place_of(rules, &by) {
        Some(place) => finding.related(place, format!("excludes `{shown}/`")),
        None => finding.label(format!("excluded by {}", words_for(&by))),
    })
}

/// The uppermost excluded directory that all paths lie in which the rule can match, and what excludes it.
fn excluded_above(rules: &Rules, line: &Line, base: &Path) -> Option<(PathBuf, Arc<Rule>)> {
    let head = match &line.pattern.shape {
        Shape::Literal(path) => path,
        Shape::Glob(glob) => &glob.head,
        Shape::Never(_) => return None,
    };
    let slashes = head.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    for slash in slashes.filter(|_| !line.pattern.basename) {
        let dir = base.join(key::to_path(&head[..slash]));
        let verdict = rules.verdict(&dir, EntryKind::Dir);
        if verdict.is_ignored() {
            return verdict.by.map(|by| (dir, by));
        }
    }
    None
}

/// Where a rule stands, for those in files and those given by hand.
fn place_of(rules: &Rules, rule: &Rule) -> Option<Location> {
    let files = rules.rule_files();
    let file = files.iter().find(|file| file.source == rule.source && file.layer == rule.layer)?;
    let line = file.lines.iter().find(|line| line.number == rule.line)?;
    (rule.layer != Layer::Builtin).then(|| Location::rule(file, line))
}

fn words_for(rule: &Rule) -> String {
    let pattern = String::from_utf8_lossy(&rule.pattern);
    match rule.layer {
        Layer::Builtin => format!("the built-in rule `{pattern}`"),
        _ => format!("`{pattern}`"),
    }
}

/// Files under version control that are ignored, by the rule that hides them.
pub(super) fn hidden_tracked(rules: &Rules, tracked: &[PathBuf]) -> Vec<Finding> {
    type Hidden<'a> = (Arc<Rule>, Vec<&'a Path>);
    let mut hidden: BTreeMap<(Layer, Option<PathBuf>, u32), Hidden<'_>> = BTreeMap::new();
    for path in tracked.iter().filter(|path| rules.is_ignored(path, EntryKind::File)) {
        let Some(by) = rules.verdict(path, EntryKind::File).by else { continue };
        let key = (by.layer, by.source.clone(), by.line);
        hidden.entry(key).or_insert_with(|| (by, Vec::new())).1.push(path);
    }
    hidden.into_values().map(|(by, paths)| hidden_by(rules, &by, &paths)).collect()
}

fn hidden_by(rules: &Rules, by: &Rule, paths: &[&Path]) -> Finding {
    let shown = |path: &Path| path.strip_prefix(rules.base()).unwrap_or(path).display().to_string();
    let examples: Vec<String> = paths.iter().take(3).map(|path| shown(path)).collect();
    let more = paths.len() - examples.len();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let (noun, them) = if paths.len() == 1 { ("a file that is", "it") } else { ("files that are", "them") };
    let message =
        format!("{} hides {noun} under version control: {}{more}", words_for(by), examples.join(", "));
    let finding = Finding::new(FindingId::HidesTrackedFile, place_of(rules, by), message);
    match by.layer {
        // In devrun's own files that is what they are for: documents are under version control, and no sources.
        Layer::Watchignore | Layer::Patterns => finding.severity(Severity::Note).remedy_text(format!(
            "nothing, if an edit there is no reason to restart; else take {them} back with `!`"
        )),
        _ => finding.remedy_text(format!(
            "an edit there restarts nothing: take {them} back with `!` in .watchignore"
        )),
    }
}

/// A path whose decision is not the expected one.
pub(super) fn broken_expectation(rules: &Rules, expectation: &Expectation) -> Option<Finding> {
    let verdict = rules.verdict(&expectation.path, expectation.kind);
    let in_scope = expectation.scope == Scope::Inside;
    let decision = if in_scope { verdict.decision } else { Decision::Ignored };
    if decision == expectation.expected {
        return None;
    }
    let path = expectation.path.strip_prefix(rules.base()).unwrap_or(&expectation.path).display();
    let slash = if expectation.kind == EntryKind::Dir { "/" } else { "" };
    let expected = expectation.expected;
    if !verdict.is_ignored() && !in_scope {
        let (reason, remedy) = match expectation.scope {
            Scope::NotSelected => ("no extension or filter wants it", Remedy::SelectFile),
            _ => ("lies outside what is watched", Remedy::AddRoot),
        };
        let message = format!("{path}{slash} must be {expected}, and {reason}");
        return Some(Finding::new(FindingId::ExpectationFailed, None, message).remedy(remedy));
    }
    let because =
        verdict.by.as_deref().map_or(": no rule matches it".into(), |by| format!(" by {}", words_for(by)));
    let message = format!("{path}{slash} must be {expected}, and is {decision}{because}");
    let location = verdict.by.as_deref().and_then(|by| place_of(rules, by));
    let remedy = match (expected, &verdict.by) {
        (Decision::Ignored, None) => format!("add a rule for it, such as `/{path}{slash}`, to .watchignore"),
        (Decision::Ignored, Some(_)) => "put a rule for it below this one".into(),
        (Decision::Watched, _) => "narrow the rule, or take the path back with `!` below it".into(),
    };
    Some(Finding::new(FindingId::ExpectationFailed, location, message).label("decides").remedy_text(remedy))
}
