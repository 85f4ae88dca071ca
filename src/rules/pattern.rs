//! One pattern's text, parsed to tokens and matched. Knows no files and no layers.
//!
//! The reading is git's (`dir.c`, `wildmatch.c`), byte for byte, with the reading of `foo**/bar` that git has
//! had since 2.52: two stars cross directories only when they are a whole component. Matching keeps at most
//! one way back per kind of star, so it takes at most text times pattern steps: no pattern is exponential.

/// Why a pattern can never match anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Flaw {
    /// Nothing is left of it: `!`, `/`, `//`, only blanks.
    Empty,
    /// A `[` without its `]`.
    UnclosedSet,
    /// A `[:name:]` that is none of the twelve.
    UnknownClass,
    /// A set with no member that a path's component can hold: `[z-a]`, `[/]`.
    EmptySet,
    /// A backslash with nothing to protect; `a\/` is one, since the final slash only marks directories.
    FinalBackslash,
    /// Two slashes in a row, or one at the end that is no mark for directories: no path is spelled so.
    EmptyComponent,
    /// A component `.` or `..`: no path is spelled so.
    DotComponent,
}

impl Flaw {
    /// What is wrong, as a part of a sentence.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "nothing is left of the pattern",
            Self::UnclosedSet => "the set is not closed: there is no `]`",
            Self::UnknownClass => "there is no character class of that name",
            Self::EmptySet => "the set has no member that a name could hold",
            Self::FinalBackslash => "the final backslash protects nothing",
            Self::EmptyComponent => "it has an empty component, and no path has one",
            Self::DotComponent => "it has a component `.` or `..`, and no path below here has one",
        }
    }
}

/// A [`Flaw`] and where in the pattern's text it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fault {
    pub(super) flaw: Flaw,
    /// The offset of its first byte in the text.
    pub(super) at: usize,
    /// How many bytes are to blame.
    pub(super) len: usize,
}

/// One element of a pattern. Bytes are folded already where case does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Token {
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

/// A set of bytes.
type Set = [u64; 4];

/// What a pattern with wildcards is taken apart into: fixed ends and a middle.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Glob {
    /// What every match begins with.
    pub(super) head: Box<[u8]>,
    /// What every match ends with, after the middle.
    pub(super) tail: Box<[u8]>,
    middle: Box<[Token]>,
    sets: Box<[Set]>,
}

/// How a pattern is matched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Shape {
    /// It can never match.
    Never(Fault),
    /// It matches exactly these bytes.
    Literal(Box<[u8]>),
    /// It has wildcards.
    Glob(Glob),
}

/// A pattern, ready to match.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Pattern {
    /// It re-includes (`!`).
    pub(super) negated: bool,
    /// It matches directories only (a final `/`).
    pub(super) dir_only: bool,
    /// It is matched on the last component, wherever that is; else on the path from its file's directory.
    pub(super) basename: bool,
    /// The bytes that no match can be without.
    pub(super) letters: Letters,
    pub(super) shape: Shape,
}

/// A set of bytes of any case, by their lowest six bits: may hold too many, never too few. With it most patterns that begin
/// and end with a star are ruled out at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Letters(u64);

impl Letters {
    pub(super) fn of(bytes: impl IntoIterator<Item = u8>) -> Self {
        let bit = |byte: u8| 1 << (byte.to_ascii_lowercase() & 63);
        Self(bytes.into_iter().fold(0, |all, byte| all | bit(byte)))
    }

    /// Whether all of them are among others.
    pub(super) fn are_in(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }
}

impl Pattern {
    /// Reads a pattern's text: without its line end and without the blanks that git trims. `fold`: ASCII
    /// case does not count (`core.ignoreCase`).
    pub(super) fn parse(text: &[u8], fold: bool) -> Self {
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
        let shape = match Parser::new(body, !basename, fold).run() {
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
    pub(super) fn matches(&self, text: &[u8], fold: bool) -> bool {
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
    let literal = |tokens: &[Token]| -> Box<[u8]> {
        tokens
            .iter()
            .filter_map(|token| if let Token::Byte(byte) = token { Some(*byte) } else { None })
            .collect()
    };
    let is_byte = |token: &&Token| matches!(token, Token::Byte(_));
    let head = tokens.iter().take_while(is_byte).count();
    if head == tokens.len() {
        return Shape::Literal(literal(tokens));
    }
    let tail = tokens.iter().rev().take_while(is_byte).count();
    let (front, back) = tokens.split_at(tokens.len() - tail);
    Shape::Glob(Glob {
        head: literal(&front[..head]),
        tail: literal(back),
        middle: front[head..].into(),
        sets: sets.into(),
    })
}

impl Shape {
    fn letters(&self) -> Letters {
        match self {
            Self::Never(_) => Letters::of([]),
            Self::Literal(literal) => Letters::of(literal.iter().copied()),
            Self::Glob(glob) => {
                let byte = |token: &Token| if let Token::Byte(byte) = token { Some(*byte) } else { None };
                let ends = glob.head.iter().chain(&*glob.tail).copied();
                Letters::of(ends.chain(glob.middle.iter().filter_map(byte)))
            }
        }
    }
}

impl Glob {
    /// Whether all of it is one star between its ends.
    pub(super) fn is_one_star(&self) -> bool {
        *self.middle == [Token::Star]
    }

    /// Whether it matches all that begins with its head.
    pub(super) fn takes_everything_below(&self) -> bool {
        *self.middle == [Token::Everything] && self.tail.is_empty()
    }

    fn matches(&self, text: &[u8], fold: bool) -> bool {
        let (head, tail) = (self.head.len(), self.tail.len());
        if text.len() < head + tail {
            return false;
        }
        let (front, back) = text.split_at(text.len() - tail);
        let (first, middle) = front.split_at(head);
        equal(&self.tail, back, fold) && equal(&self.head, first, fold) && self.middle_matches(middle, fold)
    }

    /// Matches the middle, greedily: each star takes as little as it can, and only the latest star of a kind
    /// ever takes more. That is complete: between two stars that cross directories the number of slashes is
    /// fixed, so what an earlier `*` took cannot help a later one.
    fn middle_matches(&self, text: &[u8], fold: bool) -> bool {
        let tokens = &*self.middle;
        let (mut token, mut at) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        let mut deep: Option<(usize, usize, bool)> = None;
        loop {
            match tokens.get(token) {
                None if at == text.len() => return true,
                None => {}
                Some(Token::Star) => {
                    token += 1;
                    if token < tokens.len() {
                        star = Some((token, at));
                        continue;
                    }
                    star = None;
                    if !text[at..].contains(&b'/') {
                        return true;
                    }
                }
                Some(Token::Everything) if token + 1 == tokens.len() => return true,
                Some(wide @ (Token::Everything | Token::Directories)) => {
                    token += 1;
                    deep = Some((token, at, *wide == Token::Directories));
                    star = None;
                    continue;
                }
                Some(one) => match text.get(at) {
                    // Every other choice takes at least as many bytes as were there.
                    None => return false,
                    Some(byte) if self.takes(*one, *byte, fold) => {
                        token += 1;
                        at += 1;
                        continue;
                    }
                    Some(_) => {}
                },
            }
            (token, at) = match (star, deep) {
                (Some((after, from)), _) if text.get(from).is_some_and(|byte| *byte != b'/') => {
                    star = Some((after, from + 1));
                    (after, from + 1)
                }
                (_, Some((after, from, whole))) => {
                    let step =
                        if whole { text[from..].iter().position(|byte| *byte == b'/') } else { Some(0) };
                    let Some(next) = step.map(|step| from + step + 1).filter(|next| *next <= text.len())
                    else {
                        return false;
                    };
                    star = None;
                    deep = Some((after, next, whole));
                    (after, next)
                }
                _ => return false,
            };
        }
    }

    fn takes(&self, token: Token, byte: u8, fold: bool) -> bool {
        match token {
            Token::Byte(wanted) => wanted == byte || (fold && wanted == byte.to_ascii_lowercase()),
            Token::Any => byte != b'/',
            Token::Set(number) => self.sets[number as usize][usize::from(byte >> 6)] >> (byte & 63) & 1 == 1,
            Token::Star | Token::Directories | Token::Everything => false,
        }
    }
}

/// Compares a literal, folded already if `fold`, with a text of any case.
fn equal(literal: &[u8], text: &[u8], fold: bool) -> bool {
    if fold { literal.eq_ignore_ascii_case(text) } else { literal == text }
}

/// Reads the body of a pattern: without `!`, the leading and the final slash.
struct Parser<'a> {
    body: &'a [u8],
    /// Slashes count: matched on a path, not on one component.
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
            return Err(Fault { flaw: Flaw::Empty, at: 0, len: 1 });
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
            return Err(Fault { flaw: Flaw::FinalBackslash, at, len: 1 });
        };
        if self.fold && byte.is_ascii_uppercase() {
            // git folds the text and not the protected letter, so the two are never the same.
            return Err(Fault { flaw: Flaw::EmptySet, at, len: 2 });
        }
        Ok(self.push(Token::Byte(*byte), at + 2))
    }

    fn set(&mut self, at: usize) -> Result<usize, Fault> {
        let (set, next) = read_set(self.body, at, self.fold)?;
        if set == [0; 4] {
            return Err(Fault { flaw: Flaw::EmptySet, at, len: next - at });
        }
        self.sets.push(set);
        Ok(self.push(Token::Set((self.sets.len() - 1) as u32), next))
    }
}

/// A component that no path has: an empty one, `.` or `..`.
fn impossible_component(tokens: &[Token]) -> Option<Flaw> {
    const SLASH: Token = Token::Byte(b'/');
    const DOT: Token = Token::Byte(b'.');
    if tokens.last() == Some(&SLASH) {
        return Some(Flaw::EmptyComponent);
    }
    tokens.split_inclusive(|token| matches!(token, &SLASH | Token::Directories)).find_map(|part| match part {
        [SLASH] => Some(Flaw::EmptyComponent),
        [DOT] | [DOT, DOT] | [DOT, SLASH] | [DOT, DOT, SLASH] => Some(Flaw::DotComponent),
        _ => None,
    })
}

/// Reads a set that opens at `at`: its members, and the offset behind its `]`. No set holds the slash.
fn read_set(body: &[u8], at: usize, fold: bool) -> Result<(Set, usize), Fault> {
    let unclosed = Fault { flaw: Flaw::UnclosedSet, at, len: body.len() - at };
    let byte_at = |at: usize| body.get(at).copied().ok_or(unclosed);
    let mut members = Members { set: [0; 4], fold };
    let mut at = at + 1;
    let negated = matches!(byte_at(at)?, b'!' | b'^');
    at += usize::from(negated);
    // The first byte of a set is a member, also `]`; a byte before a range, 0 for none.
    let mut previous = 0;
    loop {
        let mut byte = byte_at(at)?;
        let is_range =
            |next: Option<&u8>| byte == b'-' && previous != 0 && next.is_some_and(|next| *next != b']');
        if byte == b'\\' {
            at += 1;
            byte = byte_at(at)?;
            members.one(byte);
        } else if is_range(body.get(at + 1)) {
            at += 1;
            let mut last = byte_at(at)?;
            if last == b'\\' {
                at += 1;
                last = byte_at(at)?;
            }
            members.range(previous, last);
            byte = 0;
        } else if byte == b'[' && body.get(at + 1) == Some(&b':') {
            let close = body[at + 2..].iter().position(|byte| *byte == b']').ok_or(unclosed)? + at + 2;
            if close > at + 2 && body[close - 1] == b':' {
                let class = &body[at + 2..close - 1];
                let unknown = Fault { flaw: Flaw::UnknownClass, at, len: close + 1 - at };
                members.class(class).ok_or(unknown)?;
                at = close;
                byte = 0;
            } else {
                members.one(b'[');
            }
        } else {
            members.one(byte);
        }
        previous = byte;
        at += 1;
        if byte_at(at)? == b']' {
            return Ok((members.close(negated), at + 1));
        }
    }
}

/// The members of a set, seen as git sees a byte of the path: lower case where case does not count.
struct Members {
    set: Set,
    fold: bool,
}

impl Members {
    fn one(&mut self, byte: u8) {
        self.set[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    fn range(&mut self, first: u8, last: u8) {
        for byte in first..=last {
            self.one(byte);
            if self.fold {
                self.one(byte.to_ascii_lowercase());
            }
        }
    }

    fn class(&mut self, name: &[u8]) -> Option<()> {
        let holds: fn(u8) -> bool = match name {
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
            b"upper" if self.fold => |byte| byte.is_ascii_alphabetic(),
            b"upper" => |byte| byte.is_ascii_uppercase(),
            b"xdigit" => |byte| byte.is_ascii_hexdigit(),
            _ => return None,
        };
        (0..=255).filter(|byte| holds(*byte)).for_each(|byte| self.one(byte));
        Some(())
    }

    /// The bytes of a path that the set takes.
    fn close(self, negated: bool) -> Set {
        let mut taken = Self { set: [0; 4], fold: false };
        for byte in (1..=255).filter(|byte| *byte != b'/') {
            let seen: u8 = if self.fold { u8::to_ascii_lowercase(&byte) } else { byte };
            let member = self.set[usize::from(seen >> 6)] >> (seen & 63) & 1 == 1;
            if member != negated {
                taken.one(byte);
            }
        }
        taken.set
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(flaw("ab[c"), Some((Flaw::UnclosedSet, 2)));
        assert_eq!(flaw("!/x[[:word:]]"), Some((Flaw::UnknownClass, 4)));
        assert_eq!(flaw("a\\/"), Some((Flaw::FinalBackslash, 1)));
        assert_eq!(flaw("[z-a]"), None);
        assert_eq!(flaw("[b-a]"), None);
        assert_eq!(flaw("a//b"), Some((Flaw::EmptyComponent, 0)));
        assert_eq!(flaw("../b"), Some((Flaw::DotComponent, 0)));
        assert_eq!(flaw("!"), Some((Flaw::Empty, 1)));
    }

    #[test]
    fn what_a_match_cannot_be_without_is_known_in_any_case() {
        let letters = |text: &str| Pattern::parse(text.as_bytes(), true).letters;
        let has = |text: &str, name: &str| letters(text).are_in(Letters::of(name.bytes()));
        assert!(has("*.PY[cod]", "a.pyc") && has("*.py[cod]", "A.PYC") && !has("*.py[cod]", "a.txt"));
        assert!(has("[ab]*?", "x") && has("", "") && !has("*___old___*", "old"));
    }
}
