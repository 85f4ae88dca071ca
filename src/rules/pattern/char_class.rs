//! Bracket expressions of patterns (`[a-z]`, `[[:digit:]]`), parsed as git's `wildmatch.c` parses them.

use super::case::Case;
use super::error::{PatternError, PatternErrorKind};

/// The bytes that a bracket expression matches. It never contains the slash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct CharClass([u64; 4]);

impl CharClass {
    const EMPTY: Self = Self([0; 4]);

    /// Parses the bracket expression that opens at the offset `start`. Returns the class and the offset
    /// behind its `]`.
    pub(super) fn parse(body: &[u8], start: usize, case: Case) -> Result<(Self, usize), PatternError> {
        Parser { body, at: start + 1, start, case, members: Self::EMPTY }.parse()
    }

    /// Whether the class contains a byte.
    pub(super) fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }

    /// Whether the class matches nothing.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::EMPTY
    }

    fn insert(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }
}

struct Parser<'a> {
    body: &'a [u8],
    /// The offset of the byte that is read next.
    at: usize,
    /// The offset of the opening bracket.
    start: usize,
    case: Case,
    /// The members as git stores them: a byte of the path is folded before it is looked up.
    members: CharClass,
}

impl Parser<'_> {
    fn parse(mut self) -> Result<(CharClass, usize), PatternError> {
        let negated = matches!(self.byte()?, b'!' | b'^');
        self.at += usize::from(negated);
        // The byte before a `-` starts a range. `None` after a range or a named class.
        let mut range_start = None;
        // The first byte is a member even if it is `]`.
        loop {
            range_start = self.member(range_start)?;
            self.at += 1;
            if self.byte()? == b']' {
                return Ok((self.matched(negated), self.at + 1));
            }
        }
    }

    /// Parses one member and leaves `at` on its last byte. Returns the byte that a range may start with.
    fn member(&mut self, range_start: Option<u8>) -> Result<Option<u8>, PatternError> {
        let byte = self.byte()?;
        if let (b'-', Some(first)) = (byte, range_start)
            && self.body.get(self.at + 1).is_some_and(|next| *next != b']')
        {
            self.at += 1;
            let last = self.escaped_byte()?;
            self.insert_range(first, last);
            return Ok(None);
        }
        if byte == b'[' && self.body.get(self.at + 1) == Some(&b':') && self.named_class()? {
            return Ok(None);
        }
        let byte = self.escaped_byte()?;
        self.members.insert(byte);
        // git takes a NUL byte for "no byte before".
        Ok((byte != 0).then_some(byte))
    }

    fn byte(&self) -> Result<u8, PatternError> {
        self.body.get(self.at).copied().ok_or_else(|| self.unclosed())
    }

    /// The byte at `at`, or the one behind it if that is a backslash.
    fn escaped_byte(&mut self) -> Result<u8, PatternError> {
        if self.byte()? == b'\\' {
            self.at += 1;
        }
        self.byte()
    }

    fn unclosed(&self) -> PatternError {
        PatternError::new(PatternErrorKind::UnclosedSet, self.start, self.body.len() - self.start)
    }

    /// Parses `[:name:]` at `at`. Returns false if the text is not of that form: the bracket is a member
    /// then.
    fn named_class(&mut self) -> Result<bool, PatternError> {
        let name_start = self.at + 2;
        let close = self.body[name_start..].iter().position(|byte| *byte == b']');
        let close = close.ok_or_else(|| self.unclosed())? + name_start;
        if close == name_start || self.body[close - 1] != b':' {
            return Ok(false);
        }
        let Some(contains) = self.class(&self.body[name_start..close - 1]) else {
            return Err(PatternError::new(PatternErrorKind::UnknownClass, self.at, close + 1 - self.at));
        };
        (0..=255).filter(|byte| contains(*byte)).for_each(|byte| self.members.insert(byte));
        self.at = close;
        Ok(true)
    }

    /// The members of a POSIX class; `None` for an unknown name.
    fn class(&self, name: &[u8]) -> Option<fn(u8) -> bool> {
        Some(match name {
            b"alnum" => |byte| byte.is_ascii_alphanumeric(),
            b"alpha" => |byte| byte.is_ascii_alphabetic(),
            b"blank" => |byte| matches!(byte, b' ' | b'\t'),
            b"cntrl" => |byte| byte.is_ascii_control(),
            b"digit" => |byte| byte.is_ascii_digit(),
            b"graph" => |byte| byte.is_ascii_graphic(),
            b"lower" => |byte| byte.is_ascii_lowercase(),
            b"print" => |byte| byte.is_ascii_graphic() || byte == b' ',
            b"punct" => |byte| byte.is_ascii_punctuation(),
            b"space" => |byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'),
            b"upper" if self.case == Case::Insensitive => |byte| byte.is_ascii_alphabetic(),
            b"upper" => |byte| byte.is_ascii_uppercase(),
            b"xdigit" => |byte| byte.is_ascii_hexdigit(),
            _ => return None,
        })
    }

    fn insert_range(&mut self, first: u8, last: u8) {
        for byte in first..=last {
            self.members.insert(byte);
            self.members.insert(self.case.fold(byte));
        }
    }

    /// The bytes of a path that the expression matches.
    fn matched(&self, negated: bool) -> CharClass {
        let mut matched = CharClass::EMPTY;
        for byte in (1..=255).filter(|byte| *byte != b'/') {
            if self.members.contains(self.case.fold(byte)) != negated {
                matched.insert(byte);
            }
        }
        matched
    }
}
