//! One pattern, parsed and ready to match.
//!
//! Patterns are parsed byte for byte as git parses them (`dir.c`, `wildmatch.c`), with the meaning that git
//! gives `foo**/bar` since 2.52: two stars cross directories only if they are a whole component.

use super::byte_mask::ByteMask;
use super::case::Case;
use super::entry_kind::EntryKind;
use super::error::PatternError;
use super::glob::Glob;
use super::query::Query;
use super::token::{Target, Token, Tokens};

/// A pattern, ready to match. Two patterns are equal if they match the same paths by the same steps.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Pattern {
    negated: bool,
    dir_only: bool,
    target: Target,
    /// The bytes that every match contains.
    required_bytes: ByteMask,
    matcher: Matcher,
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
        let matcher = match Tokens::parse(body, target, case) {
            Ok(mut tokens) => {
                if strip_leading_directories(&mut tokens.list) {
                    target = Target::FileName;
                }
                Glob::new(tokens).map_or_else(Matcher::Literal, Matcher::Glob)
            }
            Err(error) => Matcher::Never(error.shifted(start)),
        };
        let required_bytes = matcher.required_bytes();
        Self { negated, dir_only, target, required_bytes, matcher }
    }

    /// Whether the pattern takes paths back (`!`).
    pub(crate) fn is_negated(&self) -> bool {
        self.negated
    }

    /// Whether the pattern matches directories only (a final `/`).
    pub(crate) fn is_dir_only(&self) -> bool {
        self.dir_only
    }

    /// The part of a path that the pattern is compared with.
    pub(crate) fn target(&self) -> Target {
        self.target
    }

    /// How the pattern is matched.
    pub(crate) fn matcher(&self) -> &Matcher {
        &self.matcher
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

impl Matcher {
    fn required_bytes(&self) -> ByteMask {
        match self {
            Self::Never(_) => ByteMask::of([]),
            Self::Literal(literal) => ByteMask::of(literal.iter().copied()),
            Self::Glob(glob) => ByteMask::of(glob.literal_bytes()),
        }
    }
}

/// Strips the `**/` of `**/name`, which matches `name` at any depth, so it can be compared with the last
/// component alone. Returns whether there was anything to strip.
fn strip_leading_directories(tokens: &mut Vec<Token>) -> bool {
    let leading = tokens.iter().take_while(|token| **token == Token::Directories).count();
    let rest = &tokens[leading..];
    let is_one_component = !rest.iter().any(|token| {
        matches!(token, Token::Byte(b'/') | Token::Directories)
            || (*token == Token::Everything && rest.len() > 1)
    });
    let strips = leading > 0 && is_one_component && !rest.is_empty();
    if strips {
        tokens.drain(..leading);
    }
    strips
}

#[cfg(test)]
mod tests {
    use super::super::error::PatternErrorKind;
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::parse(pattern.as_bytes(), Case::Sensitive).matches_text(text.as_bytes(), Case::Sensitive)
    }

    #[test]
    fn thirty_stars_against_a_long_name_take_no_time() {
        let pattern = format!("{}b", "*a".repeat(30));
        let started = std::time::Instant::now();
        for _ in 0..100 {
            assert!(!matches(&pattern, &"a".repeat(255)));
        }
        assert!(started.elapsed().as_secs() < 5);
    }

    #[test]
    fn two_stars_cross_directories_only_as_a_whole_component() {
        assert!(matches("a/**/b", "a/b"));
        assert!(matches("a/**/b", "a/x/y/b"));
        assert!(!matches("a**/b", "ab"));
        assert!(matches("a**/b", "ax/b"));
        assert!(!matches("a**/b", "ax/y/b"));
        assert!(matches("/a/**", "a/b/c"));
        assert!(!matches("/a/**", "a"));
        assert!(matches("/**\\/b", "a/b"));
        assert!(!matches("/**\\/b", "b"));
    }

    #[test]
    fn an_error_names_its_kind_and_offset() {
        let error = |text: &str| {
            Pattern::parse(text.as_bytes(), Case::Sensitive)
                .error()
                .map(|error| (error.kind(), error.start()))
        };
        assert_eq!(error("ab[c"), Some((PatternErrorKind::UnclosedSet, 2)));
        assert_eq!(error("!/x[[:word:]]"), Some((PatternErrorKind::UnknownClass, 4)));
        assert_eq!(error("a\\/"), Some((PatternErrorKind::FinalBackslash, 1)));
        assert_eq!(error("[z-a]"), None);
        assert_eq!(error("[b-a]"), None);
        assert_eq!(error("a//b"), Some((PatternErrorKind::EmptyComponent, 0)));
        assert_eq!(error("../b"), Some((PatternErrorKind::DotComponent, 0)));
        assert_eq!(error("!"), Some((PatternErrorKind::Empty, 1)));
    }

    #[test]
    fn required_bytes_ignore_case() {
        let may_match = |pattern: &str, name: &str| {
            let pattern = Pattern::parse(pattern.as_bytes(), Case::Insensitive);
            pattern.required_bytes.is_subset_of(ByteMask::of(name.bytes()))
        };
        assert!(may_match("*.PY[cod]", "a.pyc") && may_match("*.py[cod]", "A.PYC"));
        assert!(!may_match("*.py[cod]", "a.txt"));
        assert!(may_match("[ab]*?", "x") && may_match("", "") && !may_match("*___old___*", "old"));
    }
}
