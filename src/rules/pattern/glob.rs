//! Patterns with wildcards, and the matcher for them.
//!
//! The matcher remembers at most one position to return to per kind of star, so a match takes at most as many
//! steps as the length of the text times the length of the pattern. No pattern takes exponential time.

use super::parser::Token;
use super::query::Case;

/// A pattern with wildcards: literal ends around a middle that starts and ends with a wildcard.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Glob {
    /// The bytes that every match starts with.
    pub(crate) prefix: Box<[u8]>,
    middle: Box<[Token]>,
    /// The bytes that every match ends with. They do not overlap the prefix.
    pub(crate) suffix: Box<[u8]>,
}

impl Glob {
    /// Builds a glob. Tokens without any wildcard are a literal, which is the error.
    pub(super) fn new(tokens: &[Token]) -> Result<Self, Box<[u8]>> {
        let literal = |tokens: &[Token]| -> Box<[u8]> { tokens.iter().filter_map(literal_byte).collect() };
        let is_literal = |token: &&Token| literal_byte(token).is_some();
        let prefix = tokens.iter().take_while(is_literal).count();
        if prefix == tokens.len() {
            return Err(literal(tokens));
        }
        let suffix = tokens.iter().rev().take_while(is_literal).count();
        let (front, back) = tokens.split_at(tokens.len() - suffix);
        Ok(Self { prefix: literal(&front[..prefix]), middle: front[prefix..].into(), suffix: literal(back) })
    }

    /// The bytes that every match contains.
    pub(super) fn literal_bytes(&self) -> impl Iterator<Item = u8> {
        let ends = self.prefix.iter().chain(&*self.suffix).copied();
        ends.chain(self.middle.iter().filter_map(literal_byte))
    }

    /// Whether the only wildcard is one `*`.
    pub(crate) fn is_single_star(&self) -> bool {
        *self.middle == [Token::Star]
    }

    /// Whether the glob matches everything that starts with its prefix.
    pub(crate) fn matches_all_below_prefix(&self) -> bool {
        *self.middle == [Token::Everything] && self.suffix.is_empty()
    }

    /// Whether the glob matches a text.
    pub(super) fn matches(&self, text: &[u8], case: Case) -> bool {
        let (prefix, suffix) = (self.prefix.len(), self.suffix.len());
        if text.len() < prefix + suffix {
            return false;
        }
        let (front, back) = text.split_at(text.len() - suffix);
        let (first, middle) = front.split_at(prefix);
        case.equal(&self.suffix, back) && case.equal(&self.prefix, first) && self.middle_matches(middle, case)
    }

    /// Matches the middle greedily: each star takes as few bytes as possible, and only the latest star of
    /// each kind takes more on a mismatch. This finds every match: between two stars that cross directories
    /// the number of slashes is fixed, so the bytes of an earlier `*` cannot help a later one.
    fn middle_matches(&self, text: &[u8], case: Case) -> bool {
        let tokens = &*self.middle;
        let (mut token, mut at) = (0, 0);
        let mut star: Option<RetryPoint> = None;
        let mut deep: Option<(RetryPoint, &Token)> = None;
        loop {
            match tokens.get(token) {
                None if at == text.len() => return true,
                None => {}
                Some(Token::Star) => {
                    token += 1;
                    if token < tokens.len() {
                        star = Some(RetryPoint { token, at });
                        continue;
                    }
                    star = None;
                    if !text[at..].contains(&b'/') {
                        return true;
                    }
                }
                Some(Token::Everything) if token + 1 == tokens.len() => return true,
                Some(wildcard @ (Token::Everything | Token::Directories)) => {
                    token += 1;
                    deep = Some((RetryPoint { token, at }, wildcard));
                    star = None;
                    continue;
                }
                Some(single) => match text.get(at) {
                    // Every retry would consume at least as many bytes as there are.
                    None => return false,
                    Some(byte) if single.matches(*byte, case) => {
                        token += 1;
                        at += 1;
                        continue;
                    }
                    Some(_) => {}
                },
            }
            let retry = if let Some(longer) = star.and_then(|star| star.past_byte(text)) {
                star = Some(longer);
                longer
            } else if let Some((point, wildcard)) = deep {
                let Some(longer) = point.past_wildcard(wildcard, text) else { return false };
                star = None;
                deep = Some((longer, wildcard));
                longer
            } else {
                return false;
            };
            (token, at) = (retry.token, retry.at);
        }
    }
}

impl Token {
    /// Whether the token matches this one byte. Stars take any number of bytes, so they are not matched here.
    fn matches(&self, byte: u8, case: Case) -> bool {
        match self {
            Self::Byte(literal) => *literal == byte || *literal == case.fold(byte),
            Self::AnyByte => byte != b'/',
            Self::Set(set) => set[usize::from(byte)],
            Self::Star | Self::Directories | Self::Everything => false,
        }
    }
}

/// Where the matcher continues after a star has taken more bytes.
#[derive(Clone, Copy)]
struct RetryPoint {
    /// The index of the token behind the star.
    token: usize,
    /// The offset in the text at which that token is tried.
    at: usize,
}

impl RetryPoint {
    /// The point after a `*` has taken one byte more; `None` if that byte is a slash.
    fn past_byte(self, text: &[u8]) -> Option<Self> {
        text.get(self.at).filter(|byte| **byte != b'/').map(|_| Self { at: self.at + 1, ..self })
    }

    /// The point after `**` has taken one byte more, or `**/` one component more.
    fn past_wildcard(self, wildcard: &Token, text: &[u8]) -> Option<Self> {
        let rest = text.get(self.at..)?;
        let step = match wildcard {
            Token::Directories => rest.iter().position(|byte| *byte == b'/')? + 1,
            _ => 1,
        };
        (step <= rest.len()).then_some(Self { at: self.at + step, ..self })
    }
}

fn literal_byte(token: &Token) -> Option<u8> {
    if let Token::Byte(byte) = token { Some(*byte) } else { None }
}
