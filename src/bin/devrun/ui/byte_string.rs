//! Paths and rule lines, which need not be UTF-8, as text and as JSON.
//!
//! A JSON value is text, with U+FFFD for each byte that is not UTF-8. Only then a second key with the suffix
//! `_b64` holds the exact bytes in base64 (docs/reference/json.md).

use std::borrow::Cow;
use std::path::Path;

use serde::Serializer;
use serde::ser::SerializeMap;
use serde_json::Value;

use super::escape::escape_bytes;

/// A path, or a line of a rule file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ByteString(Vec<u8>);

impl ByteString {
    pub(crate) fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    pub(crate) fn from_path(path: &Path) -> Self {
        Self::new(path.as_os_str().as_encoded_bytes())
    }

    /// A path relative to `directory` if it is below it. The directory itself is `.`.
    pub(crate) fn from_relative_path(path: &Path, directory: &Path) -> Self {
        match path.strip_prefix(directory) {
            Ok(below) if below.as_os_str().is_empty() => Self::new("."),
            Ok(below) => Self::from_path(below),
            Err(_) => Self::from_path(path),
        }
    }

    /// The exact bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Text with U+FFFD for each byte that is not UTF-8.
    pub(crate) fn to_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// Text for the terminal: control characters escaped, and each byte that is not UTF-8 as `\xff`.
    pub(crate) fn escaped(&self) -> String {
        escape_bytes(&self.0)
    }

    /// The line of a `.watchignore` that ignores this path: anchored, special characters escaped, and `?` for
    /// each byte that is not UTF-8.
    pub(crate) fn ignore_rule(&self) -> String {
        let mut rule = String::from("/");
        for chunk in self.0.utf8_chunks() {
            for letter in chunk.valid().chars() {
                if matches!(letter, '*' | '?' | '[' | '\\') {
                    rule.push('\\');
                }
                rule.push(letter);
            }
            rule.extend(chunk.invalid().iter().map(|_| '?'));
        }
        if rule.ends_with(' ') {
            rule.insert(rule.len() - 1, '\\');
        }
        rule
    }

    /// The bytes in base64, if they are not UTF-8.
    pub(crate) fn to_base64(&self) -> Option<String> {
        std::str::from_utf8(&self.0).is_err().then(|| base64(&self.0))
    }
}

/// A JSON value that consists of byte strings: one, an optional one, or several.
pub(crate) trait ByteStrings {
    /// The value as text. If a string is not UTF-8, also the value in base64, with null for each string that is.
    fn values(&self) -> (Value, Option<Value>);
}

impl ByteStrings for ByteString {
    fn values(&self) -> (Value, Option<Value>) {
        (Value::String(self.to_text().into_owned()), self.to_base64().map(Value::String))
    }
}

impl ByteStrings for Option<ByteString> {
    fn values(&self) -> (Value, Option<Value>) {
        self.as_ref().map_or((Value::Null, None), ByteStrings::values)
    }
}

impl ByteStrings for Vec<ByteString> {
    fn values(&self) -> (Value, Option<Value>) {
        let (texts, base64): (Vec<_>, Vec<_>) = self.iter().map(ByteStrings::values).unzip();
        let is_utf8 = base64.iter().all(Option::is_none);
        (texts.into(), (!is_utf8).then(|| base64.into()))
    }
}

/// The object with the key added, and with `KEY_b64` if the value is not UTF-8.
pub(crate) fn with(mut object: Value, key: &str, value: &impl ByteStrings) -> Value {
    let (text, base64) = value.values();
    object[key] = text;
    if let Some(base64) = base64 {
        object[format!("{key}_b64")] = base64;
    }
    object
}

/// Declares one function for each key, for `#[serde(flatten, serialize_with = "…")]`.
macro_rules! keys {
    ($($key:ident),*) => {$(
        pub(crate) fn $key<B: ByteStrings, S: Serializer>(value: &B, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(None)?;
            let (text, base64) = value.values();
            map.serialize_entry(stringify!($key), &text)?;
            if let Some(base64) = base64 {
                map.serialize_entry(concat!(stringify!($key), "_b64"), &base64)?;
            }
            map.end()
        }
    )*};
}

keys!(path, file, files, because, marker, text, pattern, source, parent);

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| chunk.get(at).copied().map_or(0, u32::from);
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let used = digit <= chunk.len();
            text.push(if used { char::from(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize]) } else { '=' });
        }
    }
    text
}
