//! Finds rules that never decide, because other rules of the file do: duplicates, and rules that others
//! subsume.

use std::collections::{BTreeMap, HashMap};

use super::finding::{Finding, FindingId, Location, Severity};
use super::line_checks::is_utf16;
use crate::rules::pattern::{Case, EntryKind, Glob, Matcher, Pattern, Query, Target};
use crate::rules::rule_file::RuleFile;

/// Finds the redundant rules of a file, at most one finding for each rule.
pub(super) fn redundant_rules(file: &RuleFile) -> Vec<Finding> {
    if is_utf16(&file.content) {
        return Vec::new();
    }
    let rules = &file.rules;
    let mut findings: BTreeMap<usize, Finding> = BTreeMap::new();
    let mut seen: HashMap<&Pattern, usize> = HashMap::new();
    // The first of the consecutive rules with the same sign (`!` or none) as the present rule.
    let mut run_start = 0;
    for (index, rule) in rules.iter().enumerate() {
        let pattern = &rule.pattern;
        if index > 0 && rules[index - 1].pattern.negated != pattern.negated {
            run_start = index;
        }
        if pattern.error().is_some() {
            continue;
        }
        let at = |index: usize| Location::rule(file, &rules[index]);
        let finding = match seen.insert(pattern, index) {
            // A rule of the other sign lies between the two. The last one decides, so the first has no
            // effect.
            Some(first) if first < run_start => {
                let message = "this rule has no effect: the same one stands below, and the last one decides";
                let finding = Finding::new(FindingId::DuplicateRule, at(first), message, "remove this one");
                Some((first, finding.related(at(index), "decides")))
            }
            Some(first) => {
                let (message, remedy) = ("this rule is in the file twice", "remove one of the two");
                let finding = Finding::new(FindingId::DuplicateRule, at(index), message, remedy);
                Some((index, finding.related(at(first), "first here")))
            }
            None => shadowed(file, index, run_start).map(|finding| (index, finding)),
        };
        findings.extend(finding);
    }
    findings.into_values().collect()
}

/// A finding if other rules decide about everything that a rule matches.
fn shadowed(file: &RuleFile, index: usize, run_start: usize) -> Option<Finding> {
    let rules = &file.rules;
    let subsuming = subsuming_rules(file, index);
    let later = subsuming.iter().copied().find(|other| *other > index);
    // An earlier rule makes this one redundant only if no rule between them has the other sign.
    let earlier = || subsuming.iter().copied().rfind(|other| (run_start..index).contains(other));
    let other = later.or_else(earlier)?;
    let same_sign = rules[other].pattern.negated == rules[index].pattern.negated;
    let (severity, message, remedy) = if !same_sign {
        let message = "this rule has no effect: a later one decides otherwise for all it matches";
        (Severity::Warning, message, "the last rule that matches decides: put it below")
    } else if later.is_some() {
        let message = "this rule is not needed: a later one says the same of all it matches";
        (Severity::Note, message, "remove one of the two")
    } else {
        let message = "this rule is not needed: an earlier one says the same of all it matches";
        (Severity::Note, message, "remove one of the two")
    };
    let finding = Finding::new(FindingId::ShadowedRule, Location::rule(file, &rules[index]), message, remedy);
    let label = if later.is_some() { "decides" } else { "decides already" };
    Some(finding.severity(severity).related(Location::rule(file, &rules[other]), label))
}

/// The rules that subsume a rule, in order. Each of them matches the literal parts of that rule, so the
/// file's index finds them.
fn subsuming_rules(file: &RuleFile, index: usize) -> Vec<usize> {
    let pattern = &file.rules[index].pattern;
    let (name, path) = match (&pattern.matcher, pattern.target) {
        (Matcher::Never(_), _) => return Vec::new(),
        (Matcher::Literal(text), Target::FileName) => (text.to_vec(), None),
        (Matcher::Literal(text), Target::Path) => (last_component(text).to_vec(), Some(text.to_vec())),
        (Matcher::Glob(glob), Target::FileName) => ([&*glob.prefix, &glob.suffix].concat(), None),
        (Matcher::Glob(glob), Target::Path) => {
            (last_component(&glob.suffix).to_vec(), Some([&*glob.prefix, b"x"].concat()))
        }
    };
    let mut found = Vec::new();
    let query = Query::new(&name, path.as_deref(), EntryKind::Dir);
    file.each_match(query, |other| found.push(other as usize));
    found.retain(|other| {
        let wide = &file.rules[*other].pattern;
        *other != index && wide != pattern && subsumes(wide, pattern, file.case())
    });
    found.sort_unstable();
    found
}

/// Whether `wide` provably matches everything that `narrow` matches. Both are in the same file.
fn subsumes(wide: &Pattern, narrow: &Pattern, case: Case) -> bool {
    if wide.dir_only && !narrow.dir_only {
        return false;
    }
    let narrow_is_path = narrow.target == Target::Path;
    match (wide.target, &wide.matcher, &narrow.matcher) {
        (_, Matcher::Never(_), _) | (_, _, Matcher::Never(_)) => false,
        (Target::FileName, _, Matcher::Literal(text)) => wide.matches_text(last_component(text), case),
        (Target::Path, _, Matcher::Literal(text)) => narrow_is_path && wide.matches_text(text, case),
        (Target::FileName, Matcher::Literal(name), Matcher::Glob(glob)) => {
            narrow_is_path && glob.suffix.contains(&b'/') && last_component(&glob.suffix) == &**name
        }
        (Target::Path, Matcher::Literal(_), Matcher::Glob(_)) => false,
        (Target::FileName, Matcher::Glob(wide), Matcher::Glob(narrow)) => {
            wide == narrow && !narrow_is_path
                || wide.is_single_star() && star_subsumes(wide, narrow, narrow_is_path)
        }
        (Target::Path, Matcher::Glob(wide), Matcher::Glob(narrow)) => {
            let is_below = wide.matches_all_below_prefix() && narrow.prefix.starts_with(&wide.prefix);
            narrow_is_path && (wide == narrow || is_below)
        }
    }
}

/// Whether a file-name glob with a single star subsumes a glob: the ends of `wide` must be ends of `narrow`.
fn star_subsumes(wide: &Glob, narrow: &Glob, narrow_is_path: bool) -> bool {
    let prefix_fits =
        if narrow_is_path { wide.prefix.is_empty() } else { narrow.prefix.starts_with(&wide.prefix) };
    prefix_fits && last_component(&narrow.suffix).ends_with(&wide.suffix)
}

fn last_component(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsumption_is_found_where_it_can_be_proven() {
        // A wide and a narrow pattern each.
        let yes = "* a, *.log a.log, *.log /x/a.log, *.log x*.log, *.log x/**/*.a.log, a /a, a x/a, a/ /a/, \
                   a a/, a/** a/b, a/** a/*.c, a* ab*.c, **/a a, [ab] a, a/* a/b";
        let no =
            "a/ a, /a a, *.log *.lo, a* x/ba, /a* a*, a/* a/b/c, *.log *, a/* a/**, a? a*, x/a a, x*/ xa";
        let parse = |text: &str| Pattern::parse(text.as_bytes(), Case::Sensitive);
        let subsumed = |pair: &str| {
            let (wide, narrow) = pair.split_once(' ').unwrap();
            subsumes(&parse(wide), &parse(narrow), Case::Sensitive)
        };
        for (pairs, expected) in [(yes, true), (no, false)] {
            for pair in pairs.split(", ") {
                assert_eq!(subsumed(pair), expected, "{pair}");
            }
        }
    }
}
