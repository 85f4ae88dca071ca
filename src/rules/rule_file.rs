//! One rule file: its rules with line, column and raw text, and its defects.
//!
//! Lines are split and trimmed as git does it (`dir.c`, `add_patterns_from_buffer`). The content is bytes.

use std::io;
use std::path::{Path, PathBuf};

use super::pattern::{Case, Pattern, PatternIndex, Query};
use super::verdict::{Defect, DefectKind, Layer};
use super::{content, path_key};

/// Maximum size of a rule file. git ignores larger ones too.
const MAX_FILE_SIZE: u64 = 100 << 20;

/// The rules of one source: a file, the patterns of the options, or the built-in table.
#[derive(Debug)]
pub(super) struct RuleFile {
    /// The path of the file; `None` for patterns of the options and the built-in table.
    pub(super) source: Option<PathBuf>,
    pub(super) layer: Layer,
    /// Whether this is the table of data, whose rules match files only.
    pub(super) is_data: bool,
    /// The content as it was read.
    pub(super) content: Vec<u8>,
    /// The rules, in the order of their lines.
    pub(super) rules: Vec<RuleLine>,
    /// Why the file cannot be read.
    pub(super) read_error: Option<String>,
    index: PatternIndex,
}

/// One rule and its position in the file.
#[derive(Debug)]
pub(super) struct RuleLine {
    /// The offset of the raw line in the content.
    line_start: u32,
    /// The offset of the pattern's text, which is trimmed but includes `!` and a final `/`.
    start: u32,
    /// The offset behind the pattern's text.
    end: u32,
    /// The number of the line, counted from 1.
    pub(super) number: u32,
    pub(super) pattern: Pattern,
}

/// Whether a rule file may be a symbolic link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Symlink {
    /// The file behind the link is read.
    Follow,
    /// A link counts as no file. This is git's rule for `.gitignore`.
    Skip,
}

impl RuleFile {
    /// Reads a rule file. Returns `None` if there is no regular file at the path; a FIFO is never opened.
    pub(super) fn read(path: &Path, layer: Layer, symlink: Symlink, case: Case) -> Option<Self> {
        let parse = |content| Self::parse(Some(path.into()), layer, content, case);
        let unreadable = |reason| Some(Self { read_error: Some(reason), ..parse(Vec::new()) });
        let metadata = match symlink {
            Symlink::Follow => path.metadata(),
            Symlink::Skip => path.symlink_metadata(),
        };
        let size = match metadata {
            Ok(metadata) if metadata.is_file() => metadata.len(),
            Ok(_) => return None,
            Err(error) if is_absence(&error) => return None,
            Err(error) => return unreadable(error.to_string()),
        };
        if size > MAX_FILE_SIZE {
            return unreadable(format!("it has {size} bytes, and the maximum is {MAX_FILE_SIZE}"));
        }
        match std::fs::read(path) {
            Ok(content) => Some(parse(content)),
            Err(error) if is_absence(&error) => None,
            Err(error) => unreadable(error.to_string()),
        }
    }

    /// Parses the content of a rule file.
    pub(super) fn parse(source: Option<PathBuf>, layer: Layer, content: Vec<u8>, case: Case) -> Self {
        let mut rules = Vec::new();
        let mut text_start = if content.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let mut line_start = 0;
        let mut number = 0;
        while text_start < content.len() {
            number += 1;
            let rest = &content[text_start..];
            let len = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            if let Some(text) = pattern_text(&rest[..len]).filter(|text| !text.is_empty()) {
                rules.push(RuleLine {
                    line_start: line_start as u32,
                    start: text_start as u32,
                    end: (text_start + text.len()) as u32,
                    number,
                    pattern: Pattern::parse(text, case),
                });
            }
            line_start = text_start + len + 1;
            text_start = line_start;
        }
        let index = PatternIndex::new(rules.iter().map(|rule| &rule.pattern), case);
        Self { source, layer, is_data: false, content, rules, read_error: None, index }
    }

    /// Makes a source of patterns that are not lines of a file: nothing is trimmed, and `#` starts no
    /// comment.
    pub(super) fn from_patterns(patterns: &[Vec<u8>], case: Case) -> Self {
        let mut content = Vec::new();
        let mut rules = Vec::new();
        for (index, text) in patterns.iter().enumerate() {
            let start = content.len() as u32;
            content.extend_from_slice(text);
            let end = content.len() as u32;
            content.push(b'\n');
            let pattern = Pattern::parse(text, case);
            rules.push(RuleLine { line_start: start, start, end, number: index as u32 + 1, pattern });
        }
        let index = PatternIndex::new(rules.iter().map(|rule| &rule.pattern), case);
        let layer = Layer::Patterns;
        Self { source: None, layer, is_data: false, content, rules, read_error: None, index }
    }

    /// Whether case counts for these rules.
    pub(super) fn case(&self) -> Case {
        self.index.case
    }

    /// Whether no rule can match anything.
    pub(super) fn is_idle(&self) -> bool {
        self.index.is_empty()
    }

    /// The last rule that matches, as an index into [`RuleFile::rules`].
    pub(super) fn last_match(&self, query: Query<'_>) -> Option<u32> {
        self.index.last_match(query, |index| &self.rules[index as usize].pattern)
    }

    /// The last rule that matches and, in the table of data, holds for the content of the file with this key.
    pub(super) fn deciding(&self, query: Query<'_>, key: &[u8]) -> Option<u32> {
        if !self.is_data {
            return self.last_match(query);
        }
        let index = if query.is_dir() { None } else { self.last_match(query) }?;
        let pattern = self.text(&self.rules[index as usize]);
        content::is_data(pattern, path_key::path_from(key)).then_some(index)
    }

    /// Calls `visit` with the index of each rule that matches, in no particular order.
    pub(super) fn each_match(&self, query: Query<'_>, visit: impl FnMut(u32)) {
        self.index.each_match(query, |index| &self.rules[index as usize].pattern, visit);
    }

    /// The text of a rule as `git check-ignore -v` prints it.
    pub(super) fn text(&self, rule: &RuleLine) -> &[u8] {
        &self.content[rule.start as usize..rule.end as usize]
    }

    /// The rest of the line behind the text of a rule: what git trims.
    pub(super) fn trimmed_text(&self, rule: &RuleLine) -> &[u8] {
        self.raw_line(rule).get((rule.end - rule.line_start) as usize..).unwrap_or_default()
    }

    /// The line of a rule, without its end (`\n` or `\r\n`).
    pub(super) fn raw_line(&self, rule: &RuleLine) -> &[u8] {
        let rest = &self.content[rule.line_start as usize..];
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end])
    }

    /// The bad lines.
    pub(super) fn defects(&self) -> impl Iterator<Item = Defect> + '_ {
        let unreadable = self.read_error.as_ref().map(|reason| Defect {
            source: self.source.clone(),
            line: 0,
            column: 1,
            text: Vec::new(),
            kind: DefectKind::Unreadable(reason.clone()),
        });
        let bad_lines = self.rules.iter().filter_map(|rule| {
            let error = rule.pattern.error()?;
            Some(Defect {
                source: self.source.clone(),
                line: rule.number,
                column: rule.column() + error.start as u32,
                text: self.text(rule).to_vec(),
                kind: DefectKind::NeverMatches(error.kind),
            })
        });
        unreadable.into_iter().chain(bad_lines)
    }
}

impl RuleLine {
    /// The column of the pattern's first byte, counted from 1, in bytes.
    pub(super) fn column(&self) -> u32 {
        self.start - self.line_start + 1
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename
    )
}

/// The part of a line that git parses as a pattern; `None` for an empty line and a comment.
fn pattern_text(line: &[u8]) -> Option<&[u8]> {
    if matches!(line.first(), None | Some(b'#')) {
        return None;
    }
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = line.split(|byte| *byte == 0).next().unwrap_or_default();
    Some(trim_spaces(line))
}

/// Removes trailing spaces that no backslash escapes. Other white space stays.
fn trim_spaces(line: &[u8]) -> &[u8] {
    let mut end = 0;
    let mut at = 0;
    while let Some(byte) = line.get(at) {
        match byte {
            b' ' => at += 1,
            b'\\' if at + 1 == line.len() => return line,
            b'\\' => {
                at += 2;
                end = at;
            }
            _ => {
                at += 1;
                end = at;
            }
        }
    }
    &line[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(content: &[u8]) -> Vec<(u32, u32, String)> {
        let file = RuleFile::parse(None, Layer::Watchignore, content.to_vec(), Case::Sensitive);
        let show = |rule: &RuleLine| {
            (rule.number, rule.column(), String::from_utf8_lossy(file.text(rule)).into_owned())
        };
        file.rules.iter().map(show).collect()
    }

    #[test]
    fn lines_are_split_and_trimmed_as_git_does() {
        let read = texts(b"\xef\xbb\xbfa  \r\n#c\n\n b\\  \nc\0d\n\t\r\r\nlast\r");
        let expected = [(1, 4, "a"), (4, 1, " b\\ "), (5, 1, "c"), (6, 1, "\t\r"), (7, 1, "last")];
        assert_eq!(read, expected.map(|(line, column, text)| (line, column, text.to_owned())));
    }
}
