//! Reads environment files: `KEY=VALUE` lines to variables.
//!
//! docs/guide.md describes the syntax. Nothing is executed. A line that is no variable is an error with its
//! line number, because a server that runs without half of its settings is worse than one that does not
//! start.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::Remedy;

/// Variables by name.
pub(super) type Environment = BTreeMap<OsString, OsString>;

const REMEDY_NO_VARIABLE: &str = "write KEY=VALUE, or # in front of a comment";
const REMEDY_NO_SUBSTITUTION: &str =
    "${NAME}, ${NAME:-default} and ${NAME-default} are known; in single quotes a $ is a $";
const REMEDY_OPEN_QUOTE: &str =
    "close it; write a quote that belongs to the value inside quotes of the other kind";

/// A mistake in an environment file, or a file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EnvFileError {
    /// The file.
    pub file: PathBuf,
    /// The number of the line, from 1; `None` if the file as a whole cannot be used.
    pub line: Option<usize>,
    /// The text of the line.
    pub text: String,
    /// The mistake, without its place.
    pub message: String,
    /// What to do about it.
    pub remedy: Remedy,
}

impl fmt::Display for EnvFileError {
    /// `.env:3: not a variable: FOO BAR`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match self.line {
            Some(line) => write!(f, "{file}:{line}: {}: {}", self.message, self.text),
            None => write!(f, "{file}: {}", self.message),
        }
    }
}

impl std::error::Error for EnvFileError {}

/// A variable that a value refers to without a default, although it is not set. It expands to nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnsetVariable {
    pub file: PathBuf,
    /// The number of the line, from 1.
    pub line: usize,
    pub name: String,
}

/// Adds the variables of one file to an environment. A later line replaces an earlier one.
pub(super) fn add(
    file: &Path,
    environment: &mut Environment,
    unset: &mut Vec<UnsetVariable>,
) -> Result<(), EnvFileError> {
    let unusable = |message, remedy| EnvFileError {
        file: file.to_owned(),
        line: None,
        text: String::new(),
        message,
        remedy,
    };
    let unreadable = |error: io::Error| unusable(format!("cannot be read: {error}"), Remedy::CreateEnvFile);
    // The file is read at each start, so a pipe cannot serve.
    if !std::fs::metadata(file).map_err(unreadable)?.is_file() {
        let remedy = Remedy::Text("write the variables into a file".into());
        return Err(unusable("is no file, but would be read at each start".to_owned(), remedy));
    }
    let text = std::fs::read(file).map_err(unreadable)?;
    let line_of = |at: usize| 1 + text[..at].iter().filter(|byte| **byte == b'\n').count();
    let unset_at = add_text(&text, environment).map_err(|ParseError { at, message, remedy }| {
        let line = line_of(at);
        let words = text.split(|byte| *byte == b'\n').nth(line - 1).unwrap_or_default();
        EnvFileError {
            file: file.to_owned(),
            line: Some(line),
            text: String::from_utf8_lossy(words.trim_ascii()).into_owned(),
            message: message.to_owned(),
            remedy: Remedy::Text(remedy.into()),
        }
    })?;
    unset.extend(unset_at.into_iter().map(|(at, name)| UnsetVariable {
        file: file.to_owned(),
        line: line_of(at),
        name: String::from_utf8_lossy(&name).into_owned(),
    }));
    Ok(())
}

/// A mistake at a byte of the text.
#[derive(Debug, PartialEq, Eq)]
struct ParseError {
    at: usize,
    message: &'static str,
    remedy: &'static str,
}

/// Returns the variables that expand to nothing: the position and the name of each.
fn add_text(text: &[u8], environment: &mut Environment) -> Result<Vec<(usize, Vec<u8>)>, ParseError> {
    let start = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let mut reader = Reader { text, at: start, environment, unset: Vec::new() };
    while reader.skip_to_line() {
        reader.line()?;
    }
    Ok(reader.unset)
}

/// Reads one file. Its values may refer to variables that are set already.
struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    environment: &'a mut Environment,
    /// Positions and names of variables that expand to nothing.
    unset: Vec<(usize, Vec<u8>)>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Skips blank lines and comments. Returns whether a line follows.
    fn skip_to_line(&mut self) -> bool {
        while let Some(byte) = self.peek() {
            match byte {
                b'#' => self.skip_line(),
                byte if byte.is_ascii_whitespace() => self.at += 1,
                _ => return true,
            }
        }
        false
    }

    /// Skips the bytes for which `is_skipped` holds, and returns them.
    fn skip_while(&mut self, is_skipped: impl Fn(u8) -> bool) -> Vec<u8> {
        let start = self.at;
        while self.peek().is_some_and(&is_skipped) {
            self.at += 1;
        }
        self.text[start..self.at].to_vec()
    }

    fn skip_line(&mut self) {
        self.skip_while(|byte| byte != b'\n');
    }

    fn skip_blanks(&mut self) {
        self.skip_while(|byte| matches!(byte, b' ' | b'\t' | b'\r'));
    }

    fn error<T>(&self, at: usize, message: &'static str, remedy: &'static str) -> Result<T, ParseError> {
        Err(ParseError { at: at.min(self.text.len()), message, remedy })
    }

    /// `[export] KEY=VALUE [# comment]`
    fn line(&mut self) -> Result<(), ParseError> {
        let start = self.at;
        let mut key = self.word();
        if key == b"export" && self.peek().is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
            self.skip_blanks();
            key = self.word();
        }
        let is_name = key.first().is_some_and(|byte| !byte.is_ascii_digit());
        self.skip_blanks();
        if !is_name || self.peek() != Some(b'=') {
            return self.error(start, "not a variable", REMEDY_NO_VARIABLE);
        }
        self.at += 1;
        self.skip_while(|byte| matches!(byte, b' ' | b'\t'));
        let value = match self.peek() {
            Some(b'\'') => self.single()?,
            Some(b'"') => self.double()?,
            _ => self.bare()?,
        };
        if value.contains(&0) {
            return self.error(start, "a variable cannot contain a NUL byte", "take it out");
        }
        self.environment.insert(OsString::from_vec(key), OsString::from_vec(value));
        Ok(())
    }

    /// A name: letters, digits and the other characters that tools accept in names.
    fn word(&mut self) -> Vec<u8> {
        self.skip_while(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    }

    /// A value without quotes: up to the end of the line, or up to a `#` after a blank.
    fn bare(&mut self) -> Result<Vec<u8>, ParseError> {
        let mut value = Vec::new();
        let mut blank = true;
        let mut kept = 0;
        while let Some(byte) = self.peek().filter(|byte| *byte != b'\n') {
            if byte == b'#' && blank && self.text.get(self.at.wrapping_sub(1)) != Some(&b'=') {
                self.skip_line();
                break;
            }
            self.at += 1;
            match (byte, self.peek()) {
                (b'\\', Some(b'\n')) => self.at += 1,
                (b'\\', Some(next)) if b"$\\\"'#` ".contains(&next) => {
                    value.push(next);
                    self.at += 1;
                    kept = value.len();
                }
                (b'$', _) => {
                    self.substitute(&mut value)?;
                    kept = value.len();
                }
                _ => value.push(byte),
            }
            blank = byte.is_ascii_whitespace();
            if !blank {
                kept = kept.max(value.len());
            }
        }
        value.truncate(kept);
        Ok(value)
    }

    /// A value in single quotes, taken literally.
    fn single(&mut self) -> Result<Vec<u8>, ParseError> {
        let start = self.at;
        let rest = &self.text[start + 1..];
        let Some(length) = rest.iter().position(|byte| *byte == b'\'') else {
            return self.error(start, "this quote is not closed", REMEDY_OPEN_QUOTE);
        };
        let value = without_returns(&rest[..length]);
        self.at = start + length + 2;
        self.end_of_line()?;
        Ok(value)
    }

    /// A value in double quotes, with `\n \r \t \" \\ \$` and variables.
    fn double(&mut self) -> Result<Vec<u8>, ParseError> {
        let start = self.at;
        let mut value = Vec::new();
        self.at += 1;
        loop {
            let Some(byte) = self.peek() else {
                return self.error(start, "this quote is not closed", REMEDY_OPEN_QUOTE);
            };
            self.at += 1;
            match (byte, self.peek()) {
                (b'"', _) => break,
                (b'$', _) => self.substitute(&mut value)?,
                (b'\\', Some(next)) => {
                    self.at += 1;
                    match next {
                        b'n' => value.push(b'\n'),
                        b'r' => value.push(b'\r'),
                        b't' => value.push(b'\t'),
                        b'"' | b'\\' | b'$' | b'`' => value.push(next),
                        // The line continues.
                        b'\n' => {}
                        _ => value.extend([byte, next]),
                    }
                }
                (b'\r', Some(b'\n')) => {}
                _ => value.push(byte),
            }
        }
        self.end_of_line()?;
        Ok(value)
    }

    fn end_of_line(&mut self) -> Result<(), ParseError> {
        let at = self.at;
        self.skip_blanks();
        match self.peek() {
            None | Some(b'\n') => Ok(()),
            Some(b'#') if self.at > at => {
                self.skip_line();
                Ok(())
            }
            Some(_) => {
                self.error(at, "text after the closing quote", "put the whole value into one pair of quotes")
            }
        }
    }

    /// Replaces what follows a `$`: `NAME`, `{NAME}`, `{NAME-default}` or `{NAME:-default}`. A
    /// default may contain variables. Otherwise the `$` stays.
    fn substitute(&mut self, value: &mut Vec<u8>) -> Result<(), ParseError> {
        let start = self.at - 1;
        let braces = self.peek() == Some(b'{');
        self.at += usize::from(braces);
        let name = self.skip_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !braces && name.first().is_none_or(u8::is_ascii_digit) {
            self.at -= name.len();
            value.push(b'$');
            return Ok(());
        }
        let found = self.environment.get(OsStr::from_bytes(&name)).map(|found| found.as_bytes().to_vec());
        if !braces {
            if found.is_none() {
                self.unset.push((start, name));
            }
            value.extend(found.unwrap_or_default());
            return Ok(());
        }
        let (length, needs_value) = match &self.text[self.at..] {
            [b'}', ..] if !name.is_empty() => (0, false),
            [b'-', ..] if !name.is_empty() => (1, false),
            [b':', b'-', ..] if !name.is_empty() => (2, true),
            _ => return self.error(start, "this ${ is no variable", REMEDY_NO_SUBSTITUTION),
        };
        self.at += length;
        let known = self.unset.len();
        let default = self.default(start)?;
        let found = found.filter(|found| !needs_value || !found.is_empty());
        if found.is_some() {
            // The default is not used, so its variables do not matter.
            self.unset.truncate(known);
        } else if length == 0 {
            self.unset.push((start, name));
        }
        value.extend(found.unwrap_or(default));
        Ok(())
    }

    /// The text up to the brace that closes the substitution from `start`, with its variables replaced.
    fn default(&mut self, start: usize) -> Result<Vec<u8>, ParseError> {
        let mut value = Vec::new();
        while let Some(byte) = self.peek().filter(|byte| *byte != b'\n') {
            self.at += 1;
            match byte {
                b'}' => return Ok(value),
                b'$' => self.substitute(&mut value)?,
                _ => value.push(byte),
            }
        }
        self.error(start, "this ${ is no variable", REMEDY_NO_SUBSTITUTION)
    }
}

/// Turns CRLF line ends into LF.
fn without_returns(text: &[u8]) -> Vec<u8> {
    let kept =
        text.iter().enumerate().filter(|(at, byte)| **byte != b'\r' || text.get(at + 1) != Some(&b'\n'));
    kept.map(|(_, byte)| *byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, (usize, &'static str)> {
        let mut environment =
            Environment::from([("HOME".into(), "/home/me".into()), ("EMPTY".into(), "".into())]);
        add_text(text.as_bytes(), &mut environment).map_err(|error| (error.at, error.message))?;
        environment.remove(OsStr::new("HOME"));
        environment.remove(OsStr::new("EMPTY"));
        Ok(environment.iter().map(|(key, value)| format!("{}={}", key.display(), value.display())).collect())
    }

    #[test]
    fn what_a_line_may_be() {
        for (text, variables) in [
            ("A=1\nB=2", &["A=1", "B=2"][..]),
            ("\u{feff}A=1\r\nB=2\r\n", &["A=1", "B=2"]),
            ("# a comment\n\n  A=1 # another\n", &["A=1"]),
            ("export A=1\nexport\tB='2'", &["A=1", "B=2"]),
            ("export=1", &["export=1"]),
            ("A = 1\nB= 2", &["A=1", "B=2"]),
            ("A=\nB=''\nC=\"\"", &["A=", "B=", "C="]),
            ("A=two words  \n", &["A=two words"]),
            ("A=#1\nB=a#b\nC=a #b", &["A=#1", "B=a#b", "C=a"]),
            ("A='a #b $HOME \\n'\n", &["A=a #b $HOME \\n"]),
            ("A=\"a\\nb\\t\\\"c\\\" \\$HOME \\x\" # told\n", &["A=a\nb\t\"c\" $HOME \\x"]),
            ("A=\"one\ntwo\"\nB='three\r\nfour'\n", &["A=one\ntwo", "B=three\nfour"]),
            ("A=\"one \\\ntwo\"", &["A=one two"]),
            ("A=$HOME/a:${HOME}/b\nB=\"${A}\"", &["A=/home/me/a:/home/me/b", "B=/home/me/a:/home/me/b"]),
            ("A=${NONE:-x}${EMPTY:-y}${EMPTY-z}${NONE-}$NONE.", &["A=xy."]),
            ("A=${NONE:-${HOME}}/b\nB=\"${EMPTY:-${NONE-${HOME}}x}\"", &["A=/home/me/b", "B=/home/mex"]),
            ("A=${HOME:-${NONE}}${NONE-$HOME}", &["A=/home/me/home/me"]),
            ("A=cost$ 5$5 $(id)", &["A=cost$ 5$5 $(id)"]),
            ("A=a\\ b\\#\\$HOME", &["A=a b#$HOME"]),
            ("A=1\nA=2", &["A=2"]),
            ("A.b-c=1", &["A.b-c=1"]),
            ("A=a=b", &["A=a=b"]),
        ] {
            let variables = variables.iter().map(|one| (*one).to_owned()).collect();
            assert_eq!(read(text), Ok(variables), "{text:?}");
        }
    }

    #[test]
    fn a_variable_that_is_not_set_and_has_no_default_is_reported() {
        for (text, unset) in [
            ("A=pa$word", &["4 word"][..]),
            ("A=1\nB=\"pa$$word\"", &["10 word"]),
            ("A=${NONE}$HOME${EMPTY}", &["2 NONE"]),
            ("A=${NONE-}${NONE:-x}${EMPTY:-y}", &[]),
            ("A=${NONE:-$OTHER}", &["10 OTHER"]),
            ("A=${HOME:-$OTHER}${EMPTY-$OTHER}", &[]),
            ("A=\\$word\nB='$word'\nC=\"\\$word\"\nD=5$", &[]),
            ("A=$B\nB=$A", &["2 B"]),
        ] {
            let mut environment =
                Environment::from([("HOME".into(), "/home/me".into()), ("EMPTY".into(), "".into())]);
            let found = add_text(text.as_bytes(), &mut environment).unwrap();
            let found: Vec<_> =
                found.iter().map(|(at, name)| format!("{at} {}", name.escape_ascii())).collect();
            assert_eq!(found, unset, "{text:?}");
        }
    }

    #[test]
    fn what_it_may_not_be() {
        for (text, at, message) in [
            ("A=1\nnot a variable\n", 4, "not a variable"),
            ("=1", 0, "not a variable"),
            ("1A=1", 0, "not a variable"),
            ("export A", 0, "not a variable"),
            ("A", 0, "not a variable"),
            ("A=1\nB='open\nC=1\n", 6, "this quote is not closed"),
            ("A=\"open", 2, "this quote is not closed"),
            ("A='a'b", 5, "text after the closing quote"),
            ("A=${HOME", 2, "this ${ is no variable"),
            ("A=${NONE:-${HOME}", 2, "this ${ is no variable"),
            ("A=${NONE:-${HOME", 10, "this ${ is no variable"),
            ("A=${:-x}", 2, "this ${ is no variable"),
            ("A=${HOME:?no}", 2, "this ${ is no variable"),
            ("A=1\nB=\0", 4, "a variable cannot contain a NUL byte"),
        ] {
            assert_eq!(read(text), Err((at, message)), "{text:?}");
        }
    }
}
