//! Text for the terminal: escaped, in colour, and numbers, times and sizes as people read them.

use std::borrow::Cow;
use std::fmt::{self, Display, Write as _};
use std::path::Path;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthChar as _;

/// The word `error`, and crashes.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();
/// The word `warning`, and events that delay a restart.
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// Success.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// The word `help` in front of a remedy.
pub(crate) const HELP: Style = AnsiColor::Cyan.on_default().bold();
/// Paths and commands.
pub(crate) const NAME: Style = Style::new().bold();
/// Details.
pub(crate) const FAINT: Style = Style::new().dimmed();

/// `text` in a style. A stream without colour removes the escape sequences.
pub(crate) fn styled(style: Style, text: impl Display) -> impl Display {
    struct Styled<T>(Style, T);

    impl<T: Display> Display for Styled<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{}{}{}", self.0, self.1, self.0.render_reset())
        }
    }

    Styled(style, text)
}

/// A path with control characters, bidirectional characters and invalid bytes escaped, because the name of a file
/// must not control the terminal.
pub(crate) fn escape_path(path: &Path) -> String {
    escape_bytes(path.as_os_str().as_encoded_bytes())
}

/// An escaped path, relative to `directory` if it is below it. The directory itself is `.`.
pub(crate) fn escape_relative_path(path: &Path, directory: &Path) -> String {
    match path.strip_prefix(directory) {
        Ok(below) if below.as_os_str().is_empty() => ".".into(),
        Ok(below) => escape_path(below),
        Err(_) => escape_path(path),
    }
}

/// Bytes as text: unsafe characters escaped, and each byte that is not UTF-8 as `\xff`.
pub(crate) fn escape_bytes(bytes: &[u8]) -> String {
    let mut escaped = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        escaped.push_str(&escape_text(chunk.valid()));
        for byte in chunk.invalid() {
            let _ = write!(escaped, "\\x{byte:02x}");
        }
    }
    escaped
}

/// Text with unsafe characters escaped, line ends included.
pub(crate) fn escape_text(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            character if is_unsafe(character) => {
                let _ = write!(escaped, "\\u{{{:x}}}", u32::from(character));
            }
            character => escaped.push(character),
        }
    }
    Cow::Owned(escaped)
}

/// Text of several lines with every line escaped.
pub(crate) fn escape_lines(text: &str) -> String {
    text.split('\n').map(escape_text).collect::<Vec<_>>().join("\n")
}

/// Whether a character is a control character, or reorders or hides text (Unicode TR 36, "Trojan Source").
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text cut to a number of columns, with an ellipsis in its middle if it was longer.
pub(crate) fn cut_middle(text: &str, columns: usize) -> Cow<'_, str> {
    if fitting(text.chars(), columns) == text.len() {
        return Cow::Borrowed(text);
    }
    let head = &text[..fitting(text.chars(), columns / 2)];
    let tail = fitting(text.chars().rev(), columns.saturating_sub(columns / 2 + 1));
    Cow::Owned(format!("{head}…{}", &text[text.len() - tail..]))
}

/// Number of bytes of the first characters that fit in a number of columns. A wide character takes two.
fn fitting(characters: impl Iterator<Item = char>, columns: usize) -> usize {
    let mut left = columns;
    let fits = |character: &char| {
        let rest = left.checked_sub(character.width().unwrap_or(0));
        left = rest.unwrap_or(left);
        rest.is_some()
    };
    characters.take_while(fits).map(char::len_utf8).sum()
}

/// A number with its noun: `1 file`, `2 files`, `1 directory`, `2 directories`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    match (number, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) if noun.ends_with("ch") => format!("{number} {noun}es"),
        (_, None) => format!("{number} {noun}s"),
    }
}

/// A measured time: `2.5 ms`, `340 ms`, `1.2 s`, `2 min 10 s`.
pub(crate) fn time(duration: Duration) -> String {
    match duration.as_micros() {
        0..10_000 => format!("{:.1} ms", duration.as_secs_f64() * 1e3),
        10_000..1_000_000 => format!("{:.0} ms", duration.as_secs_f64() * 1e3),
        1_000_000..60_000_000 => format!("{:.1} s", duration.as_secs_f64()),
        _ => minutes(duration),
    }
}

/// A time that still goes on: `0.5 s`, `13 s`, `2 min 10 s`.
pub(crate) fn running_time(duration: Duration) -> String {
    match duration.as_secs() {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        seconds @ 10..60 => format!("{seconds} s"),
        _ => minutes(duration),
    }
}

/// A number of bytes: `12 bytes`, `340 kB`, `1.2 MB`.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.0} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

fn minutes(duration: Duration) -> String {
    format!("{} min {} s", duration.as_secs() / 60, duration.as_secs() % 60)
}
