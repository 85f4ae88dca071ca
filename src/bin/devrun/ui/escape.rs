//! Escapes control characters and bidirectional characters, because the name of a file must not control the
//! terminal.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

/// A path with unsafe and invalid characters escaped.
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
