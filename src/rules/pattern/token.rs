//! The tokens of a pattern, and the parser that splits its text into them.

use super::case::Case;
use super::char_class::CharClass;
use super::error::{PatternError, PatternErrorKind};

/// One element of a pattern. Bytes are stored folded to lower case where case does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Token {
    Byte(u8),
    /// `?`: any byte but the slash.
    AnyByte,
    /// `[…]`, as an index into [`Tokens::classes`].
    Class(u32),
    /// `*`: any number of bytes that are not slashes.
    Star,
    /// `**/`: nothing, or any bytes that end with a slash.
    Directories,
    /// `**` at the end, or before an escaped slash: any bytes.
    Everything,
}

/// The part of a path that a pattern is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    /// The last component, in any directory.
    FileName,
    /// The path from the directory of the rule file.
    Path,
}

/// The tokens of a pattern.
#[derive(Debug)]
pub(super) struct Tokens {
    pub(super) list: Vec<Token>,
    pub(super) classes: Vec<CharClass>,
}

impl Tokens {
    /// Parses the body of a pattern: its text without `!`, the leading and the final slash.
    pub(super) fn parse(body: &[u8], target: Target, case: Case) -> Result<Self, PatternError> {
        let tokens = Self { list: Vec::with_capacity(body.len()), classes: Vec::new() };
        Parser { body, target, case, tokens }.parse()
    }
}

struct Parser<'a> {
    body: &'a [u8],
    target: Target,
    case: Case,
    tokens: Tokens,
}

/// Each method parses the token at an offset and returns the offset behind it.
impl Parser<'_> {
    fn parse(mut self) -> Result<Tokens, PatternError> {
        if self.body.is_empty() {
            return Err(PatternError::new(PatternErrorKind::Empty, 0, 1));
        }
        let mut at = 0;
        while let Some(byte) = self.body.get(at) {
            at = match byte {
                b'*' => self.stars(at),
                b'?' => self.push(Token::AnyByte, at + 1),
                b'[' => self.class(at)?,
                b'\\' => self.escape(at)?,
                byte => self.push(Token::Byte(self.case.fold(*byte)), at + 1),
            };
        }
        match impossible_component(&self.tokens.list) {
            Some(kind) => Err(PatternError::new(kind, 0, self.body.len())),
            None => Ok(self.tokens),
        }
    }

    fn push(&mut self, token: Token, next: usize) -> usize {
        self.tokens.list.push(token);
        next
    }

    /// Parses a run of stars. Two or more cross directories only if they are a whole component of a path.
    fn stars(&mut self, at: usize) -> usize {
        let run = self.body[at..].iter().take_while(|byte| **byte == b'*').count();
        let next = at + run;
        let opens_component = at == 0 || self.body[at - 1] == b'/';
        if self.target == Target::FileName || run < 2 || !opens_component {
            return self.push(Token::Star, next);
        }
        match &self.body[next..] {
            [] | [b'\\', b'/', ..] => self.push(Token::Everything, next),
            [b'/', ..] => self.push(Token::Directories, next + 1),
            _ => self.push(Token::Star, next),
        }
    }

    fn escape(&mut self, at: usize) -> Result<usize, PatternError> {
        let Some(byte) = self.body.get(at + 1) else {
            return Err(PatternError::new(PatternErrorKind::FinalBackslash, at, 1));
        };
        if *byte != self.case.fold(*byte) {
            // git folds the path but not the escaped letter, so the two never match.
            return Err(PatternError::new(PatternErrorKind::EmptySet, at, 2));
        }
        Ok(self.push(Token::Byte(*byte), at + 2))
    }

    fn class(&mut self, at: usize) -> Result<usize, PatternError> {
        let (class, next) = CharClass::parse(self.body, at, self.case)?;
        if class.is_empty() {
            return Err(PatternError::new(PatternErrorKind::EmptySet, at, next - at));
        }
        self.tokens.classes.push(class);
        Ok(self.push(Token::Class((self.tokens.classes.len() - 1) as u32), next))
    }
}

/// Finds a component that no path has: an empty one, `.` or `..`.
fn impossible_component(tokens: &[Token]) -> Option<PatternErrorKind> {
    const SLASH: Token = Token::Byte(b'/');
    const DOT: Token = Token::Byte(b'.');
    if tokens.last() == Some(&SLASH) {
        return Some(PatternErrorKind::EmptyComponent);
    }
    let mut components = tokens.split_inclusive(|token| matches!(token, &SLASH | Token::Directories));
    components.find_map(|component| match component {
        [SLASH] => Some(PatternErrorKind::EmptyComponent),
        [DOT] | [DOT, DOT] | [DOT, SLASH] | [DOT, DOT, SLASH] => Some(PatternErrorKind::DotComponent),
        _ => None,
    })
}
