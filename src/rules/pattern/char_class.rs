//! Sets in patterns (`[a-z]`), read as git reads them. Knows nothing of what stands around them.

use super::error::{Fault, PatternErrorKind};

/// A set of bytes.
pub(in crate::rules) type Set = [u64; 4];

/// Whether a byte is a member.
pub(in crate::rules) fn has(set: &Set, byte: u8) -> bool {
    set[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
}

/// Reads a set that opens at `at`: its members, and the offset behind its `]`. No set holds the slash.
pub(in crate::rules) fn read_set(body: &[u8], at: usize, fold: bool) -> Result<(Set, usize), Fault> {
    let unclosed = Fault { flaw: PatternErrorKind::UnclosedSet, at, len: body.len() - at };
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
                let unknown = Fault { flaw: PatternErrorKind::UnknownClass, at, len: close + 1 - at };
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
            if has(&self.set, seen) != negated {
                taken.one(byte);
            }
        }
        taken.set
    }
}
