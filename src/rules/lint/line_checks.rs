//! Checks of single rules: bad patterns, and spellings that git reads otherwise than their authors mean.

use std::borrow::Cow;
use std::ops::Range;
use std::path::PathBuf;

use super::finding::{Finding, FindingId, Location, Severity};
use crate::rules::pattern::{PatternError, PatternErrorKind};
use crate::rules::rule_file::{RuleFile, RuleLine};

/// Checks the file as a whole and each rule by itself.
pub(super) fn check_lines(file: &RuleFile) -> Vec<Finding> {
    if let (Some(reason), Some(path)) = (file.read_error.as_deref(), file.source.as_deref()) {
        let remedy = "make it readable, or remove it: none of its rules applies now";
        return vec![Finding::new(FindingId::UnreadableFile, Location::file(path), reason, remedy)];
    }
    if is_utf16(&file.content) {
        let message = "the file is UTF-16, and git reads bytes: none of its rules works";
        let remedy = "save it as UTF-8 (in PowerShell: `Set-Content -Encoding utf8`)";
        let finding = |path: &PathBuf| {
            let location = Location { line: 1, ..Location::file(path) };
            Finding::new(FindingId::NotUtf8, location, message, remedy)
        };
        return file.source.iter().map(finding).collect();
    }
    let mut findings = Vec::new();
    for rule in &file.rules {
        let check = LineCheck { file, rule, text: file.text(rule) };
        findings.extend(check.invalid_pattern());
        findings.extend(check.nul_byte());
        findings.extend(check.encoding());
        findings.extend(check.trailing_space());
        findings.extend(check.leading_space());
        findings.extend(check.inline_comment());
        findings.extend(check.braces());
        findings.extend(check.backslash_path());
    }
    findings
}

/// Whether a file starts with a byte order mark of UTF-16. Its rules are not checked one by one.
pub(super) fn is_utf16(content: &[u8]) -> bool {
    content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff")
}

/// One rule and the checks on it. Each check returns at most one finding.
struct LineCheck<'a> {
    file: &'a RuleFile,
    rule: &'a RuleLine,
    text: &'a [u8],
}

impl LineCheck<'_> {
    /// A finding about a part of the rule's text.
    fn finding(
        &self,
        id: FindingId,
        part: Range<usize>,
        message: &str,
        remedy: impl Into<Cow<'static, str>>,
    ) -> Option<Finding> {
        Some(Finding::new(id, Location::part(self.file, self.rule, part), message, remedy))
    }

    fn invalid_pattern(&self) -> Option<Finding> {
        let error = self.rule.pattern.error()?;
        let (part, remedy) = (error.span_in(self.text.len()), self.pattern_remedy(error));
        let finding = self.finding(FindingId::InvalidPattern, part, "this rule can never match", remedy)?;
        Some(finding.label(error.kind.as_str()))
    }

    fn pattern_remedy(&self, error: PatternError) -> Cow<'static, str> {
        let text = match error.kind {
            PatternErrorKind::Empty => "remove the line, or write a name",
            PatternErrorKind::UnclosedSet => r"close the set with `]`, or write `\[` for a bracket in a name",
            PatternErrorKind::UnknownClass => {
                "one of [:alnum:] [:alpha:] [:blank:] [:cntrl:] [:digit:] [:graph:] [:lower:] \
                 [:print:] [:punct:] [:space:] [:upper:] [:xdigit:]"
            }
            PatternErrorKind::EmptySet if self.text.get(error.start) == Some(&b'\\') => {
                "remove the backslash: case does not count here (core.ignoreCase), and then git never \
                 matches an escaped capital letter"
            }
            PatternErrorKind::EmptySet => {
                "write the ends of a range in order; a set never contains the slash"
            }
            PatternErrorKind::FinalBackslash if self.text.ends_with(b"/") => {
                "remove the backslash: a final `/` marks directories"
            }
            PatternErrorKind::FinalBackslash => {
                r"write `\\` for a backslash in a name, `/` between directories"
            }
            PatternErrorKind::EmptyComponent => "write one slash between two names",
            PatternErrorKind::DotComponent => return self.dot_component_remedy(),
        };
        text.into()
    }

    fn dot_component_remedy(&self) -> Cow<'static, str> {
        let body = self.text.strip_prefix(b"!").unwrap_or(self.text);
        let Some(rest) = body.strip_prefix(b"./") else {
            let text = "write the path from the rule file's directory down; a path above needs a rule \
                        file there";
            return text.into();
        };
        let sign = if self.rule.pattern.negated { "!" } else { "" };
        format!("write `{sign}/{}`: rules are relative to their file", String::from_utf8_lossy(rest)).into()
    }

    fn nul_byte(&self) -> Option<Finding> {
        let at = self.text.len() + self.file.trimmed_text(self.rule).iter().position(|byte| *byte == 0)?;
        let message = "the line contains a NUL byte, and git reads it only up to there";
        let finding = self.finding(FindingId::InvalidPattern, at..at + 1, message, "remove the byte")?;
        Some(finding.severity(Severity::Warning))
    }

    fn encoding(&self) -> Option<Finding> {
        let error = std::str::from_utf8(self.text).err()?;
        let start = error.valid_up_to();
        let end = error.error_len().map_or(self.text.len(), |len| start + len);
        let message = "the line is not UTF-8: it matches only names with the very same bytes";
        let remedy = "save the file as UTF-8, if the names are";
        Some(self.finding(FindingId::NotUtf8, start..end, message, remedy)?.severity(Severity::Warning))
    }

    fn trailing_space(&self) -> Option<Finding> {
        let end = self.text.len();
        if let Some(len) = kept_white_space(self.text) {
            let message = "the white space at the end is a part of the pattern: git drops spaces only";
            return self.finding(FindingId::TrailingSpace, end - len..end, message, "remove it");
        }
        let trimmed = self.file.trimmed_text(self.rule);
        let spaces = trimmed.iter().take_while(|byte| **byte == b' ').count();
        if spaces == 0 {
            return None;
        }
        let message = "git drops spaces at the end of a line";
        let remedy = r"remove them, or write `\ ` for a space that counts";
        let finding = self.finding(FindingId::TrailingSpace, end..end + spaces, message, remedy)?;
        Some(finding.severity(Severity::Note))
    }

    fn leading_space(&self) -> Option<Finding> {
        let len = self.text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if len == 0 || len == self.text.len() {
            return None;
        }
        let message = "white space at the start of a line is a part of the pattern";
        let remedy = r"remove it, or write `\ ` if the name starts with a space";
        self.finding(FindingId::LeadingSpace, 0..len, message, remedy)
    }

    fn inline_comment(&self) -> Option<Finding> {
        let at = self.text.windows(2).position(|pair| matches!(pair, [b' ' | b'\t', b'#']))? + 1;
        let message = "a comment needs a line of its own: this one is a part of the pattern";
        let remedy = "put the comment on the line above";
        self.finding(FindingId::InlineComment, at..self.text.len(), message, remedy)
    }

    fn braces(&self) -> Option<Finding> {
        let (open, close) = brace_alternatives(self.text)?;
        let part = |range: Range<usize>| String::from_utf8_lossy(&self.text[range]).into_owned();
        let (front, back) = (part(0..open), part(close + 1..self.text.len()));
        let names = part(open + 1..close);
        let each: Vec<String> = names.split(',').map(|name| format!("`{front}{name}{back}`")).collect();
        let message = "git has no alternatives in braces: they are taken literally";
        let remedy = format!("write a line for each: {}", each.join(", "));
        self.finding(FindingId::LiteralBrace, open..close + 1, message, remedy)
    }

    fn backslash_path(&self) -> Option<Finding> {
        // A backslash behind an odd number of backslashes is escaped, and means a backslash in a name.
        let is_escaped =
            |at: usize| self.text[..at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1;
        let is_separator = |at: usize, pair: &[u8]| {
            let [b'\\', next] = pair else { return false };
            (next.is_ascii_alphanumeric() || *next == b'_') && at > 0 && !is_escaped(at)
        };
        let mut pairs = self.text.windows(2).enumerate();
        let (at, _) = pairs.find(|(at, pair)| is_separator(*at, pair))?;
        if self.text[..at].contains(&b'[') {
            return None;
        }
        let message = "a backslash escapes the next character, it does not separate directories";
        let remedy = format!("write `{}`", String::from_utf8_lossy(self.text).replace('\\', "/"));
        self.finding(FindingId::BackslashPath, at..at + 1, message, remedy)
    }
}

/// The length of white space at the end of a pattern that git keeps and no backslash escapes.
fn kept_white_space(text: &[u8]) -> Option<usize> {
    const WHITE_SPACE: [&[u8]; 8] =
        [b"\t", b"\r", b"\x0b", b"\x0c", b"\xc2\xa0", b"\xe3\x80\x80", b"\xe2\x80\x8b", b"\xef\xbb\xbf"];
    let space = WHITE_SPACE.into_iter().find(|space| text.ends_with(space))?;
    (!text[..text.len() - space.len()].ends_with(b"\\")).then_some(space.len())
}

/// The offsets of the first pair of braces with a comma between them, outside of sets and not escaped.
fn brace_alternatives(text: &[u8]) -> Option<(usize, usize)> {
    let mut open = None;
    let mut has_comma = false;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' => at += 1,
            b'[' => {
                let close = text.get(at + 2..).and_then(|rest| rest.iter().position(|byte| *byte == b']'));
                at += close.map_or(0, |close| close + 2);
            }
            b'{' => (open, has_comma) = (Some(at), false),
            b',' => has_comma = true,
            b'}' => match open.filter(|_| has_comma) {
                Some(open) => return Some((open, at)),
                None => open = None,
            },
            _ => {}
        }
        at += 1;
    }
    None
}
