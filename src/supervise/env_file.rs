//! Environment files: `KEY=VALUE` lines into variables. The only reader of such files; decides nothing about them.
//!
//! What a line may be is in docs/guide.md. Nothing is ever executed, and a line that is no variable is an error with its place:
//! a server that runs without half of its settings is worse than one that does not start.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The variables of a child.
pub(super) type Environment = BTreeMap<OsString, OsString>;

const WRITE: &str = "write KEY=VALUE, or # in front of a comment";
const CLOSE: &str = "close it; a quote that belongs to the value stands in quotes of the other kind";

/// What is wrong with an environment file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EnvFileError {
    /// The file.
    pub file: PathBuf,
    /// The line, counted from 1; `None`: the file as a whole.
    pub line: Option<usize>,
    /// The line's own text.
    pub text: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for EnvFileError {
    /// `.env:3: not a variable: FOO BAR`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let here = std::env::current_dir().unwrap_or_default();
        let file = self.file.strip_prefix(here).unwrap_or(&self.file).display();
        match self.line {
            Some(line) => write!(f, "{file}:{line}: {}: {}", self.message, self.text),
            None => write!(f, "{file}: {}", self.message),
        }
    }
}

impl std::error::Error for EnvFileError {}

/// Adds the variables of one file to an environment: the last line wins, over what was there before.
pub(super) fn add(file: &Path, environment: &mut Environment) -> Result<(), EnvFileError> {
    let text = read(file).map_err(|(message, remedy)| EnvFileError {
        file: file.to_owned(),
        line: None,
        text: String::new(),
        message,
        remedy: remedy.to_owned(),
    })?;
    add_text(&text, environment).map_err(|Defect { at, message, remedy }| {
        let line = text[..at].iter().filter(|byte| **byte == b'\n').count();
        let words = text.split(|byte| *byte == b'\n').nth(line).unwrap_or_default();
        EnvFileError {
            file: file.to_owned(),
            line: Some(line + 1),
            text: String::from_utf8_lossy(words.trim_ascii()).into_owned(),
            message: message.to_owned(),
            remedy: remedy.to_owned(),
        }
    })
}

/// The file's bytes. It is read at each start, which a pipe does not survive.
fn read(file: &Path) -> Result<Vec<u8>, (String, &'static str)> {
    let failed = |error| (format!("cannot be read: {error}"), "create it, or leave out --env-file");
    if !std::fs::metadata(file).map_err(failed)?.is_file() {
        return Err(("is no file, and is read at each start".to_owned(), "write it into a file"));
    }
    std::fs::read(file).map_err(failed)
}

/// What is wrong at a byte of the text.
#[derive(Debug, PartialEq, Eq)]
struct Defect {
    at: usize,
    message: &'static str,
    remedy: &'static str,
}

fn add_text(text: &[u8], environment: &mut Environment) -> Result<(), Defect> {
    let start = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let mut reader = Reader { text, at: start, environment };
    while reader.skip_to_line() {
        reader.line()?;
    }
    Ok(())
}

/// Reads one file, and knows what was set before.
struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    environment: &'a mut Environment,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Goes to the next line that says something.
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

    fn skip_line(&mut self) {
        while self.peek().is_some_and(|byte| byte != b'\n') {
            self.at += 1;
        }
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    fn defect<T>(&self, at: usize, message: &'static str, remedy: &'static str) -> Result<T, Defect> {
        Err(Defect { at: at.min(self.text.len()), message, remedy })
    }

    /// `[export] KEY=VALUE [# comment]`
    fn line(&mut self) -> Result<(), Defect> {
        let start = self.at;
        let mut key = self.word();
        if key == b"export" && self.peek().is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
            self.skip_blanks();
            key = self.word();
        }
        let is_name = key.first().is_some_and(|byte| !byte.is_ascii_digit());
        self.skip_blanks();
        if !is_name || self.peek() != Some(b'=') {
            return self.defect(start, "not a variable", WRITE);
        }
        self.at += 1;
        while self.peek().is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
            self.at += 1;
        }
        let value = match self.peek() {
            Some(b'\'') => self.single()?,
            Some(b'"') => self.double()?,
            _ => self.bare()?,
        };
        if value.contains(&0) {
            return self.defect(start, "a variable cannot contain a NUL byte", "take it out");
        }
        self.environment.insert(OsString::from_vec(key), OsString::from_vec(value));
        Ok(())
    }

    /// Letters, digits and what tools put into names.
    fn word(&mut self) -> Vec<u8> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)) {
            self.at += 1;
        }
        self.text[start..self.at].to_vec()
    }

    /// To the end of the line, or to a `#` after a blank.
    fn bare(&mut self) -> Result<Vec<u8>, Defect> {
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

    /// Everything up to the next single quote, as it is.
    fn single(&mut self) -> Result<Vec<u8>, Defect> {
        let start = self.at;
        let rest = &self.text[start + 1..];
        let Some(length) = rest.iter().position(|byte| *byte == b'\'') else {
            return self.defect(start, "this quote is not closed", CLOSE);
        };
        let value = without_returns(&rest[..length]);
        self.at = start + length + 2;
        self.nothing_more()?;
        Ok(value)
    }

    /// Up to the next double quote, with `\n \r \t \" \\ \$` and variables.
    fn double(&mut self) -> Result<Vec<u8>, Defect> {
        let start = self.at;
        let mut value = Vec::new();
        self.at += 1;
        loop {
            let Some(byte) = self.peek() else {
                return self.defect(start, "this quote is not closed", CLOSE);
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
                        // A line that goes on.
                        b'\n' => {}
                        _ => value.extend([byte, next]),
                    }
                }
                (b'\r', Some(b'\n')) => {}
                _ => value.push(byte),
            }
        }
        self.nothing_more()?;
        Ok(value)
    }

    fn nothing_more(&mut self) -> Result<(), Defect> {
        let at = self.at;
        self.skip_blanks();
        match self.peek() {
            None | Some(b'\n') => Ok(()),
            Some(b'#') if self.at > at => {
                self.skip_line();
                Ok(())
            }
            Some(_) => {
                self.defect(at, "text after the closing quote", "put the whole value into one pair of quotes")
            }
        }
    }

    /// After a `$`: `NAME`, `{NAME}`, `{NAME-default}` or `{NAME:-default}`; anything else leaves the `$` as it is.
    fn substitute(&mut self, value: &mut Vec<u8>) -> Result<(), Defect> {
        let start = self.at - 1;
        let braces = self.peek() == Some(b'{');
        self.at += usize::from(braces);
        let name_at = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            self.at += 1;
        }
        let name = &self.text[name_at..self.at];
        if !braces && (name.is_empty() || name[0].is_ascii_digit()) {
            self.at = name_at;
            value.push(b'$');
            return Ok(());
        }
        let found = self.environment.get(OsStr::from_bytes(name)).map(|found| found.as_bytes());
        if !braces {
            value.extend(found.unwrap_or_default());
            return Ok(());
        }
        let remedy = "${NAME}, ${NAME:-default} and ${NAME-default} are known; in single quotes a $ is a $";
        let rest = &self.text[self.at..];
        let end = rest.iter().position(|byte| matches!(byte, b'}' | b'\n'));
        let Some(end) = end.filter(|end| rest[*end] == b'}' && !name.is_empty()) else {
            return self.defect(start, "this ${ is no variable", remedy);
        };
        match &rest[..end] {
            b"" => value.extend(found.unwrap_or_default()),
            [b':', b'-', default @ ..] => {
                value.extend(found.filter(|found| !found.is_empty()).unwrap_or(default))
            }
            [b'-', default @ ..] => value.extend(found.unwrap_or(default)),
            _ => return self.defect(start, "this ${ is no variable", remedy),
        }
        self.at += end + 1;
        Ok(())
    }
}

/// Line ends of the other kind are line ends.
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
        add_text(text.as_bytes(), &mut environment).map_err(|defect| (defect.at, defect.message))?;
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
            ("A=${HOME:?no}", 2, "this ${ is no variable"),
            ("A=1\nB=\0", 4, "a variable cannot contain a NUL byte"),
        ] {
            assert_eq!(read(text), Err((at, message)), "{text:?}");
        }
    }
}
