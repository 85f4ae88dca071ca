//! One pattern's text, made ready to match. Knows no files and no layers.
//!
//! The reading is git's (`dir.c`, `wildmatch.c`), byte for byte, with the reading of `foo**/bar` that git has
//! had since 2.52: two stars cross directories only when they are a whole component.

use super::char_class::Set;
use super::error::Fault;
use super::glob::{Glob, equal};
use super::token::{Token, read};

/// How a pattern is matched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::rules) enum Shape {
    /// It can never match.
    Never(Fault),
    /// It matches exactly these bytes.
    Literal(Box<[u8]>),
    /// It has wildcards.
    Glob(Glob),
}

/// A pattern, ready to match.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::rules) struct Pattern {
    /// It re-includes (`!`).
    pub(in crate::rules) negated: bool,
    /// It matches directories only (a final `/`).
    pub(in crate::rules) dir_only: bool,
    /// It is matched on the last component, wherever that is; else on the path from its file's directory.
    pub(in crate::rules) basename: bool,
    /// The bytes that no match can be without.
    pub(in crate::rules) letters: Letters,
    pub(in crate::rules) shape: Shape,
}

/// A set of bytes of any case, by their lowest six bits: may hold too many, never too few. With it most patterns that begin
/// and end with a star are ruled out at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::rules) struct Letters(u64);

impl Letters {
    pub(in crate::rules) fn of(bytes: impl IntoIterator<Item = u8>) -> Self {
        let bit = |byte: u8| 1 << (byte.to_ascii_lowercase() & 63);
        Self(bytes.into_iter().fold(0, |all, byte| all | bit(byte)))
    }

    /// Whether all of them are among others.
    pub(in crate::rules) fn are_in(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }
}

impl Pattern {
    /// Reads a pattern's text: without its line end and without the blanks that git trims. `fold`: ASCII
    /// case does not count (`core.ignoreCase`).
    pub(in crate::rules) fn parse(text: &[u8], fold: bool) -> Self {
        let negated = text.first() == Some(&b'!');
        let mut start = usize::from(negated);
        let mut body = &text[start..];
        let dir_only = body.last() == Some(&b'/');
        if dir_only {
            body = &body[..body.len() - 1];
        }
        let mut basename = !body.contains(&b'/');
        if !basename && body[0] == b'/' {
            body = &body[1..];
            start += 1;
        }
        let shape = match read(body, !basename, fold) {
            Ok((tokens, sets)) => {
                let (anywhere, tokens) = strip_leading_directories(&tokens);
                basename |= anywhere;
                shape(tokens, sets)
            }
            Err(fault) => Shape::Never(Fault { at: fault.at + start, ..fault }),
        };
        Self { negated, dir_only, basename, letters: shape.letters(), shape }
    }

    /// Whether it matches: `text` is the last component or the path, as [`Pattern::basename`] says.
    pub(in crate::rules) fn matches(&self, text: &[u8], fold: bool) -> bool {
        match &self.shape {
            Shape::Never(_) => false,
            Shape::Literal(literal) => equal(literal, text, fold),
            Shape::Glob(glob) => glob.matches(text, fold),
        }
    }
}

/// `**/name` is `name` at any depth, and that is matched on the last component: says so, and gives the rest.
fn strip_leading_directories(tokens: &[Token]) -> (bool, &[Token]) {
    let leading = tokens.iter().take_while(|token| **token == Token::Directories).count();
    let rest = &tokens[leading..];
    let one_component = !rest.iter().any(|token| {
        matches!(token, Token::Byte(b'/') | Token::Directories)
            || (*token == Token::Everything && rest.len() > 1)
    });
    if leading > 0 && one_component && !rest.is_empty() { (true, rest) } else { (false, tokens) }
}

fn shape(tokens: &[Token], sets: Vec<Set>) -> Shape {
    match Glob::new(tokens, sets) {
        Ok(glob) => Shape::Glob(glob),
        Err(literal) => Shape::Literal(literal),
    }
}

impl Shape {
    fn letters(&self) -> Letters {
        match self {
            Self::Never(_) => Letters::of([]),
            Self::Literal(literal) => Letters::of(literal.iter().copied()),
            Self::Glob(glob) => Letters::of(glob.bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::PatternErrorKind;
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::parse(pattern.as_bytes(), false).matches(text.as_bytes(), false)
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
    fn a_flaw_is_named_where_it_is() {
        let flaw = |text: &str| match Pattern::parse(text.as_bytes(), false).shape {
            Shape::Never(fault) => Some((fault.flaw, fault.at)),
            _ => None,
        };
        assert_eq!(flaw("ab[c"), Some((PatternErrorKind::UnclosedSet, 2)));
        assert_eq!(flaw("!/x[[:word:]]"), Some((PatternErrorKind::UnknownClass, 4)));
        assert_eq!(flaw("a\\/"), Some((PatternErrorKind::FinalBackslash, 1)));
        assert_eq!(flaw("[z-a]"), None);
        assert_eq!(flaw("[b-a]"), None);
        assert_eq!(flaw("a//b"), Some((PatternErrorKind::EmptyComponent, 0)));
        assert_eq!(flaw("../b"), Some((PatternErrorKind::DotComponent, 0)));
        assert_eq!(flaw("!"), Some((PatternErrorKind::Empty, 1)));
    }

    #[test]
    fn what_a_match_cannot_be_without_is_known_in_any_case() {
        let letters = |text: &str| Pattern::parse(text.as_bytes(), true).letters;
        let has = |text: &str, name: &str| letters(text).are_in(Letters::of(name.bytes()));
        assert!(has("*.PY[cod]", "a.pyc") && has("*.py[cod]", "A.PYC") && !has("*.py[cod]", "a.txt"));
        assert!(has("[ab]*?", "x") && has("", "") && !has("*___old___*", "old"));
    }
}
