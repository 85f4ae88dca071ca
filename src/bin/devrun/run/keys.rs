//! The keys of devrun, and the escape sequences in which their letters do not count. Pure.

/// What a key requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// `r`: restart now.
    Restart,
    /// `p`: pause, or resume.
    Pause,
    /// `w`: explain the last restarts.
    Why,
    /// `q`: quit.
    Quit,
    /// `?` or `h`: list the keys.
    Help,
    /// Enter: print a blank line.
    BlankLine,
}

impl Key {
    /// The answer to `?`.
    pub(super) const HELP: &str =
        "r restart now, p pause or resume, w why did it restart, q quit, ? show the keys";

    fn from_byte(byte: u8) -> Option<Self> {
        match byte.to_ascii_lowercase() {
            b'r' => Some(Self::Restart),
            b'p' => Some(Self::Pause),
            b'w' => Some(Self::Why),
            b'q' => Some(Self::Quit),
            b'?' | b'h' => Some(Self::Help),
            b'\n' | b'\r' => Some(Self::BlankLine),
            _ => None,
        }
    }
}

/// Finds the keys in the bytes that a terminal sends.
///
/// Arrow and function keys send several bytes, and so does a terminal that answers a query of COMMAND. The
/// letters among these bytes are not keys (ECMA-48, section 5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum KeyParser {
    #[default]
    Ground,
    /// After `ESC`.
    Escape,
    /// After `ESC [`: a control sequence, which ends with a letter.
    ControlSequence,
    /// After `ESC O`: one more byte.
    SingleShift,
    /// After `ESC ]`, `ESC P` and similar: a string, which ends with BEL or `ESC \`.
    String,
}

impl KeyParser {
    /// The key of the next byte.
    pub(super) fn parse(&mut self, byte: u8) -> Option<Key> {
        let before = *self;
        *self = match (before, byte) {
            (_, 0x1b) => Self::Escape,
            (Self::Escape, b'[') => Self::ControlSequence,
            (Self::Escape, b'O') => Self::SingleShift,
            (Self::Escape, b']' | b'P' | b'_' | b'^' | b'X') => Self::String,
            (Self::ControlSequence, 0x20..=0x3f) => Self::ControlSequence,
            (Self::String, byte) if byte != 0x07 => Self::String,
            _ => Self::Ground,
        };
        if before == Self::Ground { Key::from_byte(byte) } else { None }
    }

    /// The end of the bytes that arrived together. A lone `ESC` is the key Esc and begins no sequence.
    pub(super) fn end_of_read(&mut self) {
        if *self == Self::Escape {
            *self = Self::Ground;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(reads: &[&[u8]]) -> Vec<Key> {
        let mut parser = KeyParser::default();
        let mut keys = Vec::new();
        for bytes in reads {
            keys.extend(bytes.iter().filter_map(|byte| parser.parse(*byte)));
            parser.end_of_read();
        }
        keys
    }

    #[test]
    fn letters_are_keys() {
        assert_eq!(parse(&[b"rQ?"]), [Key::Restart, Key::Quit, Key::Help]);
    }

    #[test]
    fn letters_in_escape_sequences_are_not_keys() {
        // An arrow, F2, F5, Alt-q, a mouse event, the cursor position, the background colour.
        let sequences: [&[u8]; 7] = [
            b"\x1b[A",
            b"\x1bOQ",
            b"\x1b[15~",
            b"\x1bq",
            b"\x1b[<0;10;5M",
            b"\x1b[12;40R",
            b"\x1b]11;rgb:0000/0000/0000\x1b\\",
        ];
        for sequence in sequences {
            assert_eq!(parse(&[sequence, b"w"]), [Key::Why], "{sequence:?}");
        }
        assert_eq!(parse(&[b"\x1b[12;", b"40R", b"w"]), [Key::Why]);
    }

    #[test]
    fn a_lone_escape_key_does_not_hide_the_next_key() {
        assert_eq!(parse(&[b"\x1b", b"q"]), [Key::Quit]);
    }
}
