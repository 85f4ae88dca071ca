//! One pattern, parsed and ready to match.
//!
//! Patterns are parsed byte for byte as git parses them (`dir.c`, `wildmatch.c`), with the meaning that git
//! gives `foo**/bar` since 2.52: two stars cross directories only if they are a whole component.

use super::glob::Glob;
use super::parser::{PatternError, Target, Token, parse};
use super::query::{ByteMask, Case, EntryKind, Query};

/// A pattern, ready to match. Two patterns are equal if they match the same paths by the same steps.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Pattern {
    /// Whether the pattern takes paths back (`!`).
    pub(crate) negated: bool,
    /// Whether the pattern matches directories only (a final `/`).
    pub(crate) dir_only: bool,
    pub(crate) target: Target,
    pub(crate) matcher: Matcher,
    /// The bytes that every match contains.
    required_bytes: ByteMask,
}

/// How a pattern is matched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Matcher {
    /// The pattern can never match.
    Never(PatternError),
    /// The pattern matches exactly these bytes.
    Literal(Box<[u8]>),
    /// The pattern has wildcards.
    Glob(Glob),
}

impl Pattern {
    /// Parses the text of a pattern, without its line end and the trailing spaces that git trims.
    pub(crate) fn parse(text: &[u8], case: Case) -> Self {
        let negated = text.first() == Some(&b'!');
        let mut start = usize::from(negated);
        let mut body = &text[start..];
        let dir_only = body.last() == Some(&b'/');
        if dir_only {
            body = &body[..body.len() - 1];
        }
        let mut target = if body.contains(&b'/') { Target::Path } else { Target::FileName };
        if let [b'/', rest @ ..] = body {
            body = rest;
            start += 1;
        }
        let matcher = match parse(body, target, case) {
            Ok(tokens) => {
                let name = name_at_any_depth(&tokens);
                if name.is_some() {
                    target = Target::FileName;
                }
                Glob::new(name.unwrap_or(&tokens)).map_or_else(Matcher::Literal, Matcher::Glob)
            }
            Err(error) => Matcher::Never(PatternError { start: error.start + start, ..error }),
        };
        let required_bytes = match &matcher {
            Matcher::Never(_) => ByteMask::of([]),
            Matcher::Literal(literal) => ByteMask::of(literal.iter().copied()),
            Matcher::Glob(glob) => ByteMask::of(glob.literal_bytes()),
        };
        Self { negated, dir_only, target, matcher, required_bytes }
    }

    /// Why the pattern can never match; `None` if it can.
    pub(crate) fn error(&self) -> Option<PatternError> {
        if let Matcher::Never(error) = self.matcher { Some(error) } else { None }
    }

    /// Whether the pattern matches an entry.
    pub(super) fn matches(&self, query: Query<'_>, case: Case) -> bool {
        if self.dir_only && query.kind != EntryKind::Dir {
            return false;
        }
        match (self.target, query.path) {
            (Target::FileName, _) => {
                self.required_bytes.is_subset_of(query.name_bytes) && self.matches_text(query.name, case)
            }
            (Target::Path, Some(path)) => self.matches_text(path, case),
            (Target::Path, None) => false,
        }
    }

    /// Whether the pattern matches a text: the part of a path that [`Pattern::target`] says.
    pub(crate) fn matches_text(&self, text: &[u8], case: Case) -> bool {
        match &self.matcher {
            Matcher::Never(_) => false,
            Matcher::Literal(literal) => case.equal(literal, text),
            Matcher::Glob(glob) => glob.matches(text, case),
        }
    }
}

/// The tokens of `name` in `**/name`, which matches `name` at any depth, so it can be compared with the last
/// component alone. `None` for other patterns.
fn name_at_any_depth(tokens: &[Token]) -> Option<&[Token]> {
    let leading = tokens.iter().take_while(|token| **token == Token::Directories).count();
    let rest = &tokens[leading..];
    let crosses_directories = rest.iter().any(|token| {
        matches!(token, Token::Byte(b'/') | Token::Directories)
            || (*token == Token::Everything && rest.len() > 1)
    });
    (leading > 0 && !rest.is_empty() && !crosses_directories).then_some(rest)
}
