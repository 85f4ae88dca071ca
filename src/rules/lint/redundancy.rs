//! Finds rules that never decide, because other rules of the file do: duplicates, and rules that others
//! subsume.

use std::collections::{BTreeMap, HashMap};

use super::finding::{Finding, FindingId, Location, Severity};
use super::line_checks::is_utf16;
use super::subsumption::subsumes;
use crate::rules::pattern::{EntryKind, Matcher, Pattern, Query, Target};
use crate::rules::rule_file::RuleFile;

/// Finds the redundant rules of a file, at most one finding for each rule.
pub(super) fn redundant_rules(file: &RuleFile) -> Vec<Finding> {
    if is_utf16(file.content()) {
        return Vec::new();
    }
    let rules = file.rules();
    let mut findings: BTreeMap<usize, Finding> = BTreeMap::new();
    let mut seen: HashMap<&Pattern, usize> = HashMap::new();
    // The first of the consecutive rules with the same sign (`!` or none) as the present rule.
    let mut run_start = 0;
    for (index, rule) in rules.iter().enumerate() {
        let pattern = rule.pattern();
        if index > 0 && rules[index - 1].pattern().is_negated() != pattern.is_negated() {
            run_start = index;
        }
        if pattern.error().is_some() {
            continue;
        }
        match seen.insert(pattern, index) {
            // A rule of the other sign lies between the two. The last one decides, so the first has no
            // effect.
            Some(first) if first < run_start => {
                findings.insert(first, without_effect(file, first, index));
            }
            Some(first) => {
                findings.insert(index, duplicate(file, index, first));
            }
            None => {
                findings.extend(shadowed(file, index, run_start).map(|found| (index, found)));
            }
        }
    }
    findings.into_values().collect()
}

fn duplicate(file: &RuleFile, index: usize, first: usize) -> Finding {
    Finding::new(FindingId::DuplicateRule, location(file, index), "this rule is in the file twice")
        .related(location(file, first), "first here")
        .remedy_text("remove one of the two")
}

fn without_effect(file: &RuleFile, index: usize, later: usize) -> Finding {
    let message = "this rule has no effect: the same one stands below, and the last one decides";
    Finding::new(FindingId::DuplicateRule, location(file, index), message)
        .related(location(file, later), "decides")
        .remedy_text("remove this one")
}

/// A finding if other rules decide about everything that a rule matches.
fn shadowed(file: &RuleFile, index: usize, run_start: usize) -> Option<Finding> {
    let rules = file.rules();
    let subsuming = subsuming_rules(file, index);
    if let Some(later) = subsuming.iter().copied().find(|other| *other > index) {
        let same_sign = rules[later].pattern().is_negated() == rules[index].pattern().is_negated();
        let finding = |message: &str| Finding::new(FindingId::ShadowedRule, location(file, index), message);
        let finding = if same_sign {
            finding("this rule is not needed: a later one says the same of all it matches")
                .severity(Severity::Note)
                .remedy_text("remove one of the two")
        } else {
            finding("this rule has no effect: a later one decides otherwise for all it matches")
                .severity(Severity::Warning)
                .remedy_text("the last rule that matches decides: put it below")
        };
        return Some(finding.related(location(file, later), "decides"));
    }
    // An earlier rule makes this one redundant only if no rule between them has the other sign.
    let earlier = subsuming.into_iter().rfind(|other| (run_start..index).contains(other))?;
    let message = "this rule is not needed: an earlier one says the same of all it matches";
    let finding = Finding::new(FindingId::ShadowedRule, location(file, index), message)
        .severity(Severity::Note)
        .related(location(file, earlier), "decides already")
        .remedy_text("remove one of the two");
    Some(finding)
}

/// The rules that subsume a rule, in order. Each of them matches the literal parts of that rule, so the
/// file's index finds them.
fn subsuming_rules(file: &RuleFile, index: usize) -> Vec<usize> {
    let pattern = file.rules()[index].pattern();
    let file_name = |text: &[u8]| text.rsplit(|byte| *byte == b'/').next().unwrap_or_default().to_vec();
    let (name, path) = match (pattern.matcher(), pattern.target()) {
        (Matcher::Never(_), _) => return Vec::new(),
        (Matcher::Literal(text), Target::FileName) => (file_name(text), None),
        (Matcher::Literal(text), Target::Path) => (file_name(text), Some(text.to_vec())),
        (Matcher::Glob(glob), Target::FileName) => ([glob.prefix(), glob.suffix()].concat(), None),
        (Matcher::Glob(glob), Target::Path) => {
            (file_name(glob.suffix()), Some([glob.prefix(), b"x"].concat()))
        }
    };
    let mut found = Vec::new();
    let query = Query::new(&name, path.as_deref(), EntryKind::Dir);
    file.each_match(query, |other| found.push(other as usize));
    found.retain(|other| {
        let wide = file.rules()[*other].pattern();
        *other != index && wide != pattern && subsumes(wide, pattern, file.case())
    });
    found.sort_unstable();
    found
}

fn location(file: &RuleFile, index: usize) -> Location {
    Location::rule(file, &file.rules()[index])
}
