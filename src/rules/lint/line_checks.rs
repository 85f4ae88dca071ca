//! What one rule file shows by itself: bad patterns, doubtful spellings, rules that others make useless.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use super::finding::{Finding, FindingId, Location, Severity};
use super::subsumption::covers;
use crate::rules::pattern::{EntryKind, Query, Shape};
use crate::rules::pattern::{Fault, PatternErrorKind};
use crate::rules::rule_file::{Line, RuleFile};

/// Finds it.
pub(super) fn inspect(file: &RuleFile) -> Vec<Finding> {
    if let (Some(why), Some(path)) = (file.unreadable_because(), &file.source) {
        let finding = Finding::new(FindingId::UnreadableFile, Location::file(path.clone()), why);
        return vec![
            finding.remedy_text("make it readable, or remove it: until then none of its rules counts"),
        ];
    }
    if file.content.starts_with(b"\xff\xfe") || file.content.starts_with(b"\xfe\xff") {
        return file
            .source
            .iter()
            .map(|path| utf16(Location { line: 1, ..Location::file(path.clone()) }))
            .collect();
    }
    let mut findings = Vec::new();
    for line in &file.lines {
        let rule = Rule { file, line, text: file.text(line) };
        findings.extend(rule.fault());
        findings.extend(rule.null());
        findings.extend(rule.encoding());
        findings.extend(rule.blanks_at_the_end());
        findings.extend(rule.blanks_at_the_start());
        findings.extend(rule.comment());
        findings.extend(rule.braces());
        findings.extend(rule.backslash());
    }
    findings.extend(useless(file));
    findings
}

fn utf16(place: Location) -> Finding {
    let message = "the file is UTF-16, and git reads bytes: none of its rules works";
    Finding::new(FindingId::NotUtf8, place, message)
        .severity(Severity::Error)
        .remedy_text("save it as UTF-8 (in PowerShell: `Set-Content -Encoding utf8`)")
}

/// A rule as it is looked at.
struct Rule<'a> {
    file: &'a RuleFile,
    line: &'a Line,
    text: &'a [u8],
}

impl Rule<'_> {
    fn finding(&self, id: FindingId, at: usize, len: usize, message: impl Into<String>) -> Finding {
        Finding::new(id, Location::part(self.file, self.line, at, len), message)
    }

    /// The line behind the text of the rule, as it stands in the file.
    fn rest(&self) -> &[u8] {
        let end = (self.line.end - self.line.raw) as usize;
        self.file.raw_line(self.line).get(end..).unwrap_or_default()
    }

    fn fault(&self) -> Option<Finding> {
        let Shape::Never(Fault { flaw, at, len }) = self.line.pattern.shape else { return None };
        let at = at.min(self.text.len().saturating_sub(1));
        let len = len.min(self.text.len() - at);
        let finding = self.finding(FindingId::InvalidPattern, at, len, "this rule can never match");
        Some(finding.label(flaw.as_str()).remedy_text(self.mend(flaw, at)))
    }

    fn mend(&self, flaw: PatternErrorKind, at: usize) -> Cow<'static, str> {
        match flaw {
            PatternErrorKind::Empty => "remove the line, or write a name".into(),
            PatternErrorKind::UnclosedSet => {
                r"close the set with `]`, or write `\[` for a bracket in a name".into()
            }
            PatternErrorKind::UnknownClass => {
                "one of [:alnum:] [:alpha:] [:blank:] [:cntrl:] [:digit:] [:graph:] [:lower:] \
                                   [:print:] [:punct:] [:space:] [:upper:] [:xdigit:]"
                    .into()
            }
            PatternErrorKind::EmptySet if self.text[at] == b'\\' => {
                "take the backslash out: case does not count here (core.ignoreCase), and git never matches a \
                 protected capital then"
                    .into()
            }
            PatternErrorKind::EmptySet => {
                "write the ends of a range in order; a set never holds the slash".into()
            }
            PatternErrorKind::FinalBackslash if self.text.ends_with(b"/") => {
                "take the backslash out: a final `/` marks directories".into()
            }
            PatternErrorKind::FinalBackslash => {
                r"write `\\` for a backslash in a name, `/` between directories".into()
            }
            PatternErrorKind::EmptyComponent => "write one slash between two names".into(),
            PatternErrorKind::DotComponent => {
                let body = self.text.strip_prefix(b"!").unwrap_or(self.text);
                match body.strip_prefix(b"./") {
                    Some(rest) => {
                        let sign = if self.line.pattern.negated { "!" } else { "" };
                        format!("write `{sign}/{}`: rules are relative to their file", String::from_utf8_lossy(rest)).into()
                    }
                    None => "write the path from the rule file's directory down; what is above needs a rule file there"
                        .into(),
                }
            }
        }
    }

    fn null(&self) -> Option<Finding> {
        let at = self.rest().iter().position(|byte| *byte == 0)?;
        let message = "the line holds a NUL byte, and git reads it only up to there";
        let finding = self.finding(FindingId::InvalidPattern, self.text.len() + at, 1, message);
        Some(finding.severity(Severity::Warning).remedy_text("remove the byte"))
    }

    fn encoding(&self) -> Option<Finding> {
        let error = std::str::from_utf8(self.text).err()?;
        let message = "the line is not UTF-8: it matches only names with the very same bytes";
        let len = error.error_len().unwrap_or(self.text.len() - error.valid_up_to());
        let finding = self.finding(FindingId::NotUtf8, error.valid_up_to(), len, message);
        Some(finding.severity(Severity::Warning).remedy_text("save the file as UTF-8, if the names are"))
    }

    fn blanks_at_the_end(&self) -> Option<Finding> {
        if let Some(len) = kept_blank(self.text) {
            let message = "the blank at the end is a part of the pattern: git drops spaces only";
            let finding = self.finding(FindingId::TrailingSpace, self.text.len() - len, len, message);
            return Some(finding.remedy_text("remove it"));
        }
        let spaces = self.rest().iter().take_while(|byte| **byte == b' ').count();
        if spaces == 0 {
            return None;
        }
        let message = "git drops spaces at the end of a line";
        let finding = self.finding(FindingId::TrailingSpace, self.text.len(), spaces, message);
        Some(
            finding
                .severity(Severity::Note)
                .remedy_text(r"remove them, or write `\ ` for a space that counts"),
        )
    }

    fn blanks_at_the_start(&self) -> Option<Finding> {
        let blanks = self.text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if blanks == 0 || blanks == self.text.len() {
            return None;
        }
        let message = "blanks at the start of a line are a part of the pattern";
        let finding = self.finding(FindingId::LeadingSpace, 0, blanks, message);
        Some(finding.remedy_text(r"remove them, or write `\ ` if the name begins so"))
    }

    fn comment(&self) -> Option<Finding> {
        let at = self.text.windows(2).position(|pair| matches!(pair, [b' ' | b'\t', b'#']))? + 1;
        let message = "a comment stands on a line of its own: this one is a part of the pattern";
        let finding = self.finding(FindingId::InlineComment, at, self.text.len() - at, message);
        Some(finding.remedy_text("put the comment on the line above"))
    }

    fn braces(&self) -> Option<Finding> {
        let (open, close) = alternatives(self.text)?;
        let part = |range: std::ops::Range<usize>| String::from_utf8_lossy(&self.text[range]).into_owned();
        let each: Vec<String> = part(open + 1..close)
            .split(',')
            .map(|one| format!("`{}{one}{}`", part(0..open), part(close + 1..self.text.len())))
            .collect();
        let message = "git has no alternatives in braces: they are taken literally";
        let finding = self.finding(FindingId::LiteralBrace, open, close + 1 - open, message);
        Some(finding.remedy_text(format!("write a line for each: {}", each.join(", "))))
    }

    fn backslash(&self) -> Option<Finding> {
        let pairs = || self.text.windows(2).enumerate();
        // A backslash that is itself protected is one for certain.
        let protected =
            |at: usize| self.text[..at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1;
        let is_path = |at: usize, pair: &[u8]| {
            pair[0] == b'\\'
                && (pair[1].is_ascii_alphanumeric() || pair[1] == b'_')
                && at > 0
                && !protected(at)
        };
        let (at, _) = pairs().find(|(at, pair)| is_path(*at, pair))?;
        if self.text[..at].contains(&b'[') {
            return None;
        }
        let message = "a backslash protects the next character, it does not stand between directories";
        let finding = self.finding(FindingId::BackslashPath, at, 1, message);
        Some(
            finding.remedy_text(format!("write `{}`", String::from_utf8_lossy(self.text).replace('\\', "/"))),
        )
    }
}

/// The length of a blank at the end of a pattern that git keeps and no backslash protects.
fn kept_blank(text: &[u8]) -> Option<usize> {
    const BLANKS: [&[u8]; 8] =
        [b"\t", b"\r", b"\x0b", b"\x0c", b"\xc2\xa0", b"\xe3\x80\x80", b"\xe2\x80\x8b", b"\xef\xbb\xbf"];
    let blank = BLANKS.into_iter().find(|blank| text.ends_with(blank))?;
    (!text[..text.len() - blank.len()].ends_with(b"\\")).then_some(blank.len())
}

/// The first pair of braces with a comma between, outside of sets and not protected.
fn alternatives(text: &[u8]) -> Option<(usize, usize)> {
    let mut open = None;
    let mut comma = false;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' => at += 1,
            b'[' => {
                let close = text.get(at + 2..).and_then(|rest| rest.iter().position(|byte| *byte == b']'));
                at += close.map_or(0, |close| close + 2);
            }
            b'{' => (open, comma) = (Some(at), false),
            b',' => comma = true,
            b'}' => match open.filter(|_| comma) {
                Some(open) => return Some((open, at)),
                None => open = None,
            },
            _ => {}
        }
        at += 1;
    }
    None
}

/// Rules that never decide, since others of the file do: doubles, and what others cover.
fn useless(file: &RuleFile) -> Vec<Finding> {
    let mut findings: BTreeMap<usize, Finding> = BTreeMap::new();
    let mut seen: HashMap<(bool, bool, bool, &Shape), usize> = HashMap::new();
    // Where the run of rules of one sign began that a rule stands in.
    let mut run = 0;
    for (number, line) in file.lines.iter().enumerate() {
        let pattern = &line.pattern;
        if number > 0 && file.lines[number - 1].pattern.negated != pattern.negated {
            run = number;
        }
        if matches!(pattern.shape, Shape::Never(_)) {
            continue;
        }
        let key = (pattern.negated, pattern.dir_only, pattern.basename, &pattern.shape);
        match seen.insert(key, number) {
            // A rule of the other sign stands between: the last one decides, so it is the first that is not needed.
            Some(first) if first < run => {
                findings.insert(first, overtaken(file, &file.lines[first], line));
            }
            Some(first) => {
                findings.insert(number, duplicate(file, line, &file.lines[first]));
            }
            None => {
                findings
                    .extend(shadow(file, number, run, &covering(file, number)).map(|found| (number, found)));
            }
        }
    }
    findings.into_values().collect()
}

/// The rules that cover a rule, in order. What covers a rule matches its fixed parts, so the index finds it.
fn covering(file: &RuleFile, number: usize) -> Vec<usize> {
    let pattern = &file.lines[number].pattern;
    let last = |text: &[u8]| text.rsplit(|byte| *byte == b'/').next().unwrap_or_default().to_vec();
    let (name, path) = match &pattern.shape {
        Shape::Never(_) => return Vec::new(),
        Shape::Literal(text) => (last(text), (!pattern.basename).then(|| text.to_vec())),
        Shape::Glob(glob) if pattern.basename => ([&*glob.head, &*glob.tail].concat(), None),
        Shape::Glob(glob) => (last(&glob.tail), Some([&*glob.head, b"x"].concat())),
    };
    let mut found = Vec::new();
    let query = Query::new(&name, path.as_deref(), EntryKind::Dir);
    file.each_match(query, |other| found.push(other as usize));
    found.retain(|other| {
        let wide = &file.lines[*other].pattern;
        *other != number && wide != pattern && covers(wide, pattern, file.folds())
    });
    found.sort_unstable();
    found
}

fn duplicate(file: &RuleFile, line: &Line, first: &Line) -> Finding {
    Finding::new(FindingId::DuplicateRule, Location::rule(file, line), "this rule stands here twice")
        .related(Location::rule(file, first), "first here")
        .remedy_text("remove one of the two")
}

fn overtaken(file: &RuleFile, line: &Line, later: &Line) -> Finding {
    let message = "this rule has no effect: the same one stands below, and the last one decides";
    Finding::new(FindingId::DuplicateRule, Location::rule(file, line), message)
        .related(Location::rule(file, later), "decides")
        .remedy_text("remove this one")
}

fn shadow(file: &RuleFile, number: usize, run: usize, covering: &[usize]) -> Option<Finding> {
    let line = &file.lines[number];
    let place = Location::rule(file, line);
    if let Some(later) = covering.iter().find(|other| **other > number).map(|other| &file.lines[*other]) {
        let same = later.pattern.negated == line.pattern.negated;
        let (severity, message, remedy) = match same {
            true => (
                Severity::Note,
                "this rule is not needed: a later one says the same of all it matches",
                "remove one of the two",
            ),
            false => (
                Severity::Warning,
                "this rule has no effect: a later one decides otherwise for all it matches",
                "the last rule that matches decides: put it below",
            ),
        };
        let finding = Finding::new(FindingId::ShadowedRule, place, message).severity(severity);
        return Some(finding.related(Location::rule(file, later), "decides").remedy_text(remedy));
    }
    // An earlier rule makes this one needless if nothing in between could take back what it said.
    let earlier =
        covering.iter().rfind(|other| (run..number).contains(other)).map(|other| &file.lines[*other])?;
    let message = "this rule is not needed: an earlier one says the same of all it matches";
    let finding = Finding::new(FindingId::ShadowedRule, place, message).severity(Severity::Note);
    Some(
        finding
            .related(Location::rule(file, earlier), "decides already")
            .remedy_text("remove one of the two"),
    )
}
