//! JSON objects, and paths and rule lines in them, which need not be UTF-8.
//!
//! The JSON value of a path or line is text, with U+FFFD for each byte that is not UTF-8. Only then a second key with the suffix
//! `_b64` holds the exact bytes in base64 (docs/reference/json.md).

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::text::escape_bytes;

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
        std::str::from_utf8(&self.0).is_err().then(|| BASE64_STANDARD.encode(&self.0))
    }
}

/// A JSON object whose keys keep the order in which they were added.
#[derive(Debug, Default)]
pub(crate) struct Object(Vec<(Cow<'static, str>, Json)>);

/// The value of a key.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Json {
    Value(Value),
    Object(Object),
    List(Vec<Object>),
}

impl Object {
    pub(crate) fn set(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.0.push((key.into(), Json::Value(value.into())));
        self
    }

    /// Adds an object. `None` becomes null.
    pub(crate) fn object(mut self, key: &'static str, object: impl Into<Option<Self>>) -> Self {
        self.0.push((key.into(), object.into().map_or(Json::Value(Value::Null), Json::Object)));
        self
    }

    pub(crate) fn list(mut self, key: &'static str, objects: impl Iterator<Item = Self>) -> Self {
        self.0.push((key.into(), Json::List(objects.collect())));
        self
    }

    /// Adds the string as text, and its bytes in base64 if they are not UTF-8. `None` becomes null.
    pub(crate) fn bytes(self, key: &'static str, value: impl Into<Option<ByteString>>) -> Self {
        let value = value.into();
        let base64 = value.as_ref().and_then(ByteString::to_base64);
        self.set(key, value.map(|value| value.to_text().into_owned())).base64(key, base64)
    }

    /// Adds a list of strings, and a second list if one of them is not UTF-8, with null for each that is.
    pub(crate) fn byte_list(self, key: &'static str, values: &[ByteString]) -> Self {
        let texts: Vec<Cow<'_, str>> = values.iter().map(ByteString::to_text).collect();
        let base64: Vec<Option<String>> = values.iter().map(ByteString::to_base64).collect();
        let has_base64 = base64.iter().any(Option::is_some);
        self.set(key, texts).base64(key, has_base64.then_some(base64))
    }

    fn base64(mut self, key: &str, value: Option<impl Into<Value>>) -> Self {
        self.0.extend(value.map(|value| (format!("{key}_b64").into(), Json::Value(value.into()))));
        self
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// On one line, or with `{:#}` indented.
impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to_text = if f.alternate() { serde_json::to_string_pretty } else { serde_json::to_string };
        f.write_str(&to_text(self).map_err(|_| fmt::Error)?)
    }
}
