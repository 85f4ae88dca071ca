//! A pattern's text taken apart into tokens, or the reason why it can match nothing. Matches nothing itself.

use super::char_class::{Set, read_set};
use super::error::{Fault, PatternErrorKind};

/// One element of a pattern. Bytes are folded already where case does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::rules) enum Token {
    Byte(u8),
    /// `?`: any byte but the slash.
    Any,
    /// A set, by its number.
    Set(u32),
    /// `*`: any bytes but slashes, also none.
    Star,
    /// `**/`: nothing, or any bytes up to and with a slash.
    Directories,
    /// `**` at the end, or before an escaped slash: any bytes.
    Everything,
}

/// Reads the body of a pattern: without `!`, the leading and the final slash. `path`: slashes count, since it is matched on a
/// path and not on one component.
pub(in crate::rules) fn read(body: &[u8], path: bool, fold: bool) -> Result<(Vec<Token>, Vec<Set>), Fault> {
    Parser::new(body, path, fold).run()
}

struct Parser<'a> {
    body: &'a [u8],
    path: bool,
    fold: bool,
    tokens: Vec<Token>,
    sets: Vec<Set>,
}

impl<'a> Parser<'a> {
    fn new(body: &'a [u8], path: bool, fold: bool) -> Self {
        Self { body, path, fold, tokens: Vec::with_capacity(body.len()), sets: Vec::new() }
    }

    fn run(mut self) -> Result<(Vec<Token>, Vec<Set>), Fault> {
        if self.body.is_empty() {
            return Err(Fault { flaw: PatternErrorKind::Empty, at: 0, len: 1 });
        }
        let mut at = 0;
        while let Some(byte) = self.body.get(at) {
            at = match byte {
                b'*' => self.stars(at),
                b'?' => self.push(Token::Any, at + 1),
                b'[' => self.set(at)?,
                b'\\' => self.escape(at)?,
                byte => self.push(Token::Byte(self.folded(*byte)), at + 1),
            };
        }
        match impossible_component(&self.tokens) {
            Some(flaw) => Err(Fault { flaw, at: 0, len: self.body.len() }),
            None => Ok((self.tokens, self.sets)),
        }
    }

    fn push(&mut self, token: Token, next: usize) -> usize {
        self.tokens.push(token);
        next
    }

    fn folded(&self, byte: u8) -> u8 {
        if self.fold { byte.to_ascii_lowercase() } else { byte }
    }

    /// A run of stars: it crosses directories only as a whole component of a path.
    fn stars(&mut self, at: usize) -> usize {
        let run = self.body[at..].iter().take_while(|byte| **byte == b'*').count();
        let next = at + run;
        let opens = at == 0 || self.body[at - 1] == b'/';
        if !self.path || run < 2 || !opens {
            return self.push(Token::Star, next);
        }
        match &self.body[next..] {
            [] | [b'\\', b'/', ..] => self.push(Token::Everything, next),
            [b'/', ..] => self.push(Token::Directories, next + 1),
            _ => self.push(Token::Star, next),
        }
    }

    fn escape(&mut self, at: usize) -> Result<usize, Fault> {
        let Some(byte) = self.body.get(at + 1) else {
            return Err(Fault { flaw: PatternErrorKind::FinalBackslash, at, len: 1 });
        };
        if self.fold && byte.is_ascii_uppercase() {
            // git folds the text and not the protected letter, so the two are never the same.
            return Err(Fault { flaw: PatternErrorKind::EmptySet, at, len: 2 });
        }
        Ok(self.push(Token::Byte(*byte), at + 2))
    }

    fn set(&mut self, at: usize) -> Result<usize, Fault> {
        let (set, next) = read_set(self.body, at, self.fold)?;
        if set == [0; 4] {
            return Err(Fault { flaw: PatternErrorKind::EmptySet, at, len: next - at });
        }
        self.sets.push(set);
        Ok(self.push(Token::Set((self.sets.len() - 1) as u32), next))
    }
}

/// A component that no path has: an empty one, `.` or `..`.
fn impossible_component(tokens: &[Token]) -> Option<PatternErrorKind> {
    const SLASH: Token = Token::Byte(b'/');
    const DOT: Token = Token::Byte(b'.');
    if tokens.last() == Some(&SLASH) {
        return Some(PatternErrorKind::EmptyComponent);
    }
    tokens.split_inclusive(|token| matches!(token, &SLASH | Token::Directories)).find_map(|part| match part {
        [SLASH] => Some(PatternErrorKind::EmptyComponent),
        [DOT] | [DOT, DOT] | [DOT, SLASH] | [DOT, DOT, SLASH] => Some(PatternErrorKind::DotComponent),
        _ => None,
    })
}
