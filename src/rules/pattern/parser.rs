//! The parser of one pattern's text.

use std::ops::Range;

use super::query::Case;

/// Why a pattern can never match anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PatternErrorKind {
    /// The pattern has no text except its markers: `!`, `/`, `//`, or spaces only.
    Empty,
    /// A `[` without a closing `]`.
    UnclosedSet,
    /// A `[:name:]` that is none of the twelve POSIX character classes.
    UnknownClass,
    /// A set that contains no byte that a file name can contain: `[z-a]`, `[/]`.
    EmptySet,
    /// A backslash with nothing to escape. The pattern `a\/` has one too, because the final slash only marks
    /// directories.
    FinalBackslash,
    /// Two slashes in a row, or a slash at the end that does not mark directories. No path has an empty
    /// component.
    EmptyComponent,
    /// A component `.` or `..`. No path below the rule file has one.
    DotComponent,
}

impl PatternErrorKind {
    /// The reason, as a part of a sentence.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "the pattern is empty",
            Self::UnclosedSet => "the set is not closed: there is no `]`",
            Self::UnknownClass => "there is no character class of that name",
            Self::EmptySet => "the set contains no character that a name can contain",
            Self::FinalBackslash => "the final backslash escapes nothing",
            Self::EmptyComponent => "it has an empty component, and no path has one",
            Self::DotComponent => "it has a component `.` or `..`, and no path below here has one",
        }
    }
}

/// Why a pattern can never match, and the bytes of its text that are at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PatternError {
    pub(crate) kind: PatternErrorKind,
    /// The offset of the first byte at fault.
    pub(crate) start: usize,
    /// The number of bytes at fault.
    pub(super) len: usize,
}

impl PatternError {
    /// The bytes at fault, cut to a text of `text_len` bytes: at least one byte of a text that has any.
    pub(crate) fn span_in(self, text_len: usize) -> Range<usize> {
        let start = self.start.min(text_len.saturating_sub(1));
        start..start + self.len.min(text_len - start)
    }
}

/// The part of a path that a pattern is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    /// The last component, in any directory.
    FileName,
    /// The path from the directory of the rule file.
    Path,
}

/// One element of a pattern. Bytes are stored folded to lower case where case does not count.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Token {
    Byte(u8),
    /// `?`: any byte but the slash.
    AnyByte,
    /// `[…]`: the bytes that it matches. They never include the slash.
    Set(Box<ByteSet>),
    /// `*`: any number of bytes that are not slashes.
    Star,
    /// `**/`: nothing, or any bytes that end with a slash.
    Directories,
    /// `**` at the end, or before an escaped slash: any bytes.
    Everything,
}

/// For each byte, whether the set contains it.
type ByteSet = [bool; 256];

/// Parses the body of a pattern: its text without `!`, the leading and the final slash.
pub(super) fn parse(body: &[u8], target: Target, case: Case) -> Result<Vec<Token>, PatternError> {
    if body.is_empty() {
        return Err(PatternError { kind: PatternErrorKind::Empty, start: 0, len: 1 });
    }
    let mut parser = Parser { body, target, case, start: 0, at: 0 };
    let mut tokens = Vec::with_capacity(body.len());
    while parser.at < body.len() {
        tokens.push(parser.token()?);
    }
    match impossible_component(&tokens) {
        Some(kind) => Err(PatternError { kind, start: 0, len: body.len() }),
        None => Ok(tokens),
    }
}

struct Parser<'a> {
    body: &'a [u8],
    target: Target,
    case: Case,
    /// The offset at which the present token starts.
    start: usize,
    /// The offset of the byte that is read next.
    at: usize,
}

impl Parser<'_> {
    /// Parses the token at `at`, and leaves `at` behind it.
    fn token(&mut self) -> Result<Token, PatternError> {
        self.start = self.at;
        self.at += 1;
        match self.body[self.start] {
            b'*' => Ok(self.stars()),
            b'?' => Ok(Token::AnyByte),
            b'[' => self.set(),
            b'\\' => self.escape(),
            byte => Ok(Token::Byte(self.case.fold(byte))),
        }
    }

    /// Parses a run of stars. Two or more cross directories only if they are a whole component of a path.
    fn stars(&mut self) -> Token {
        let run = self.body[self.start..].iter().take_while(|byte| **byte == b'*').count();
        self.at = self.start + run;
        let opens_component = self.start == 0 || self.body[self.start - 1] == b'/';
        if self.target == Target::FileName || run < 2 || !opens_component {
            return Token::Star;
        }
        match &self.body[self.at..] {
            [] | [b'\\', b'/', ..] => Token::Everything,
            [b'/', ..] => {
                self.at += 1;
                Token::Directories
            }
            _ => Token::Star,
        }
    }

    fn escape(&mut self) -> Result<Token, PatternError> {
        let Some(byte) = self.body.get(self.at) else {
            return Err(self.error(PatternErrorKind::FinalBackslash));
        };
        self.at += 1;
        if *byte != self.case.fold(*byte) {
            // git folds the path but not the escaped letter, so the two never match.
            return Err(self.error(PatternErrorKind::EmptySet));
        }
        Ok(Token::Byte(*byte))
    }

    /// Parses a bracket expression (`[a-z]`, `[[:digit:]]`) as git's `wildmatch.c` does.
    fn set(&mut self) -> Result<Token, PatternError> {
        let negated = matches!(self.byte()?, b'!' | b'^');
        self.at += usize::from(negated);
        // The members as git stores them: a byte of the path is folded before it is looked up.
        let mut members = [false; 256];
        // The byte before a `-` starts a range. `None` after a range or a named class.
        let mut range_start = None;
        // The first byte is a member even if it is `]`.
        loop {
            range_start = self.member(&mut members, range_start)?;
            self.at += 1;
            if self.byte()? == b']' {
                break;
            }
        }
        self.at += 1;
        let matches =
            |byte: u8| !matches!(byte, 0 | b'/') && members[usize::from(self.case.fold(byte))] != negated;
        let set: ByteSet = std::array::from_fn(|byte| matches(byte as u8));
        if !set.contains(&true) {
            return Err(self.error(PatternErrorKind::EmptySet));
        }
        Ok(Token::Set(Box::new(set)))
    }

    /// Parses one member and leaves `at` on its last byte. Returns the byte that a range may start with.
    fn member(&mut self, members: &mut ByteSet, range_start: Option<u8>) -> Result<Option<u8>, PatternError> {
        let byte = self.byte()?;
        if let (b'-', Some(first)) = (byte, range_start)
            && self.body.get(self.at + 1).is_some_and(|next| *next != b']')
        {
            self.at += 1;
            for byte in first..=self.escaped_byte()? {
                members[usize::from(byte)] = true;
                members[usize::from(self.case.fold(byte))] = true;
            }
            return Ok(None);
        }
        if byte == b'[' && self.body.get(self.at + 1) == Some(&b':') && self.named_class(members)? {
            return Ok(None);
        }
        let byte = self.escaped_byte()?;
        members[usize::from(byte)] = true;
        // git takes a NUL byte for "no byte before".
        Ok((byte != 0).then_some(byte))
    }

    /// Parses `[:name:]` at `at`. Returns false if the text is not of that form: the bracket is a member
    /// then.
    fn named_class(&mut self, members: &mut ByteSet) -> Result<bool, PatternError> {
        let name_start = self.at + 2;
        let close = self.body[name_start..].iter().position(|byte| *byte == b']');
        let close = close.ok_or_else(|| self.unclosed())? + name_start;
        if close == name_start || self.body[close - 1] != b':' {
            return Ok(false);
        }
        let Some(contains) = posix_class(&self.body[name_start..close - 1], self.case) else {
            let (start, len) = (self.at, close + 1 - self.at);
            return Err(PatternError { kind: PatternErrorKind::UnknownClass, start, len });
        };
        (0..=255).filter(contains).for_each(|byte| members[usize::from(byte)] = true);
        self.at = close;
        Ok(true)
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
        let kind = PatternErrorKind::UnclosedSet;
        PatternError { kind, start: self.start, len: self.body.len() - self.start }
    }

    /// An error about the present token, as far as it is read.
    fn error(&self, kind: PatternErrorKind) -> PatternError {
        PatternError { kind, start: self.start, len: self.at - self.start }
    }
}

/// The members of a POSIX class; `None` for an unknown name.
fn posix_class(name: &[u8], case: Case) -> Option<fn(&u8) -> bool> {
    Some(match name {
        b"alnum" => u8::is_ascii_alphanumeric,
        b"alpha" => u8::is_ascii_alphabetic,
        b"blank" => |byte| matches!(byte, b' ' | b'\t'),
        b"cntrl" => u8::is_ascii_control,
        b"digit" => u8::is_ascii_digit,
        b"graph" => u8::is_ascii_graphic,
        b"lower" => u8::is_ascii_lowercase,
        b"print" => |byte| byte.is_ascii_graphic() || *byte == b' ',
        b"punct" => u8::is_ascii_punctuation,
        b"space" => |byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'),
        b"upper" if case == Case::Insensitive => u8::is_ascii_alphabetic,
        b"upper" => u8::is_ascii_uppercase,
        b"xdigit" => u8::is_ascii_hexdigit,
        _ => return None,
    })
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
