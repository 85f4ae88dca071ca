//! One ignore file: its rules with line, column and raw text, and its defects.
//!
//! Lines are split, cut and trimmed as git does (`dir.c`, `add_patterns_from_buffer`); the content is bytes
//! and stays as it was read. Knows no other file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::layer::Layer;
use super::pattern::PatternErrorKind;
use super::pattern::{Index, Query};
use super::pattern::{Pattern, Shape};

/// What is wrong with a line. The other lines of the file still apply.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DefectKind {
    /// The pattern can never match, and why.
    NeverMatches(PatternErrorKind),
    /// The file could not be read.
    Unreadable(String),
}

/// A bad line, as data.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Defect {
    /// The file, absolute; `None` for patterns given by hand.
    pub source: Option<PathBuf>,
    /// The line, counted from 1; 0 for the file as a whole.
    pub line: u32,
    /// The column, counted from 1, in bytes.
    pub column: u32,
    /// The raw line.
    pub text: Vec<u8>,
    /// What is wrong.
    pub kind: DefectKind,
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{}", source.display())?,
            None => f.write_str("pattern")?,
        }
        let text = String::from_utf8_lossy(&self.text);
        match &self.kind {
            DefectKind::NeverMatches(flaw) => {
                write!(f, ":{}:{}: `{text}` never matches: {}", self.line, self.column, flaw.as_str())
            }
            DefectKind::Unreadable(why) => write!(f, ": cannot be read: {why}"),
        }
    }
}

/// One rule and where it stands.
#[derive(Debug)]
pub(super) struct Line {
    /// Where the pattern's text (trimmed, with `!` and the final `/`) is in the content.
    pub(super) start: u32,
    pub(super) end: u32,
    /// The line, counted from 1.
    pub(super) number: u32,
    /// Where the raw line starts in the content.
    pub(super) raw: u32,
    pub(super) pattern: Pattern,
}

/// The rules of one source.
#[derive(Debug)]
pub(super) struct RuleFile {
    pub(super) source: Option<PathBuf>,
    pub(super) layer: Layer,
    pub(super) content: Vec<u8>,
    pub(super) lines: Vec<Line>,
    /// Why it could not be read.
    unreadable: Option<String>,
    fold: bool,
    index: Index,
}

/// Larger files are left out, as git leaves them out.
const SIZE_LIMIT: u64 = 100 << 20;

impl RuleFile {
    /// Reads an ignore file; `None` if there is none. What is no regular file is none (a FIFO is never
    /// opened), and a symbolic link is one only if `follow`.
    pub(super) fn read(path: &Path, layer: Layer, follow: bool, fold: bool) -> Option<Self> {
        let kind = if follow { path.metadata() } else { path.symlink_metadata() };
        let size = match kind {
            Ok(kind) if kind.is_file() => kind.len(),
            Ok(_) => return None,
            Err(error) if is_absence(&error) => return None,
            Err(error) => return Some(Self::unreadable(path.into(), layer, error.to_string())),
        };
        if size > SIZE_LIMIT {
            let why = format!("it has {size} bytes, and more than {SIZE_LIMIT} are not read");
            return Some(Self::unreadable(path.into(), layer, why));
        }
        match std::fs::read(path) {
            Ok(content) => Some(Self::parse(Some(path.into()), layer, content, fold)),
            Err(error) if is_absence(&error) => None,
            Err(error) => Some(Self::unreadable(path.into(), layer, error.to_string())),
        }
    }

    /// Reads the content of an ignore file. `fold`: ASCII case does not count.
    pub(super) fn parse(source: Option<PathBuf>, layer: Layer, content: Vec<u8>, fold: bool) -> Self {
        let mut lines = Vec::new();
        let mut start = if content.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let mut number = 0;
        while start < content.len() {
            number += 1;
            let end = content[start..]
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(content.len(), |at| start + at);
            let text = rule_text(&content[start..end]);
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                let pattern = Pattern::parse(text, fold);
                let raw = if number == 1 { 0 } else { start };
                let (first, last) = (start as u32, (start + text.len()) as u32);
                lines.push(Line { start: first, end: last, number, raw: raw as u32, pattern });
            }
            start = end + 1;
        }
        Self::new(source, layer, content, lines, fold)
    }

    /// Takes patterns given by hand: each is one rule as it is, nothing is trimmed, nothing is a comment.
    pub(super) fn from_patterns(layer: Layer, patterns: &[Vec<u8>], fold: bool) -> Self {
        let mut content = Vec::new();
        let mut lines = Vec::new();
        for (number, text) in patterns.iter().enumerate() {
            let start = content.len() as u32;
            content.extend_from_slice(text);
            let end = content.len() as u32;
            content.push(b'\n');
            let pattern = Pattern::parse(text, fold);
            lines.push(Line { start, end, number: number as u32 + 1, raw: start, pattern });
        }
        Self::new(None, layer, content, lines, fold)
    }

    /// A file that is there and could not be read.
    pub(super) fn unreadable(source: PathBuf, layer: Layer, why: String) -> Self {
        let empty = Self::new(Some(source), layer, Vec::new(), Vec::new(), false);
        Self { unreadable: Some(why), ..empty }
    }

    fn new(source: Option<PathBuf>, layer: Layer, content: Vec<u8>, lines: Vec<Line>, fold: bool) -> Self {
        let index = Index::new(lines.iter().map(|line| &line.pattern), fold);
        Self { source, layer, content, lines, unreadable: None, fold, index }
    }

    /// Whether no rule of it can ever match.
    pub(super) fn is_idle(&self) -> bool {
        self.index.is_empty()
    }

    /// The last line that matches, by its place in `lines`.
    pub(super) fn last_match(&self, query: Query<'_>) -> Option<u32> {
        self.index.last_match(query, self.fold, |number| &self.lines[number as usize].pattern)
    }

    /// All lines that match, by their place in `lines`.
    pub(super) fn each_match(&self, query: Query<'_>, visit: impl FnMut(u32)) {
        self.index.each_match(query, self.fold, |number| &self.lines[number as usize].pattern, visit);
    }

    /// A rule's line as it stands in the file, without its end.
    pub(super) fn raw_line(&self, line: &Line) -> &[u8] {
        let rest = &self.content[line.raw as usize..];
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end])
    }

    /// Why it could not be read.
    pub(super) fn unreadable_because(&self) -> Option<&str> {
        self.unreadable.as_deref()
    }

    /// ASCII case does not count.
    pub(super) fn folds(&self) -> bool {
        self.fold
    }

    /// The text of a rule as `git check-ignore -v` prints it.
    pub(super) fn text(&self, line: &Line) -> &[u8] {
        &self.content[line.start as usize..line.end as usize]
    }

    /// The column of a rule's first byte.
    pub(super) fn column(&self, line: &Line) -> u32 {
        line.start - line.raw + 1
    }

    /// Its bad lines.
    pub(super) fn defects(&self) -> impl Iterator<Item = Defect> + '_ {
        let whole = self.unreadable.as_ref().map(|why| Defect {
            source: self.source.clone(),
            line: 0,
            column: 1,
            text: Vec::new(),
            kind: DefectKind::Unreadable(why.clone()),
        });
        let lines = self.lines.iter().filter_map(|line| match &line.pattern.shape {
            Shape::Never(fault) => Some(Defect {
                source: self.source.clone(),
                line: line.number,
                column: self.column(line) + fault.at as u32,
                text: self.text(line).to_vec(),
                kind: DefectKind::NeverMatches(fault.flaw),
            }),
            _ => None,
        });
        whole.into_iter().chain(lines)
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename
    )
}

/// What git reads of a line (without its line feed); `None` for an empty line and a comment.
fn rule_text(line: &[u8]) -> Option<&[u8]> {
    if matches!(line.first(), None | Some(b'#')) {
        return None;
    }
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = line.split(|byte| *byte == 0).next().unwrap_or_default();
    Some(trim_blanks(line))
}

/// Cuts trailing spaces that no backslash protects; other blanks stay.
fn trim_blanks(line: &[u8]) -> &[u8] {
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
        let file = RuleFile::parse(None, Layer::Watchignore, content.to_vec(), false);
        let show = |line: &Line| {
            (line.number, file.column(line), String::from_utf8_lossy(file.text(line)).into_owned())
        };
        file.lines.iter().map(show).collect()
    }

    #[test]
    fn lines_are_cut_and_trimmed_as_git_does() {
        let read = texts(b"\xef\xbb\xbfa  \r\n#c\n\n b\\  \nc\0d\n\t\r\r\nlast\r");
        let expected = [(1, 4, "a"), (4, 1, " b\\ "), (5, 1, "c"), (6, 1, "\t\r"), (7, 1, "last")];
        assert_eq!(read, expected.map(|(line, column, text)| (line, column, text.to_owned())));
    }

    #[test]
    fn a_bad_line_is_data_and_the_others_stay() {
        let file = RuleFile::parse(None, Layer::Watchignore, b"a[\n\xff\nb\n".to_vec(), false);
        assert_eq!(file.lines.len(), 3);
        let defects: Vec<Defect> = file.defects().collect();
        assert_eq!((defects.len(), defects[0].line, defects[0].column), (1, 1, 2));
        assert_eq!(defects[0].kind, DefectKind::NeverMatches(PatternErrorKind::UnclosedSet));
    }
}
