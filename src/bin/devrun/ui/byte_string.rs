//! Names of files, which need not be UTF-8, in words and in JSON, which must be.
//!
//! In JSON a name is text, with U+FFFD for what is not UTF-8; only then a second key, with `_b64` behind the name of the
//! first, has its very bytes (docs/reference/json.md).

use std::borrow::Cow;
use std::path::Path;

use serde::Serializer;
use serde::ser::SerializeMap;
use serde_json::Value;

use crate::ui::terminal;

/// A path, or a line of a rule file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ByteString(Vec<u8>);

impl ByteString {
    pub(crate) fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// A path, with `/` between its components.
    pub(crate) fn of(path: &Path) -> Self {
        let bytes = path.as_os_str().as_encoded_bytes().iter();
        Self(bytes.map(|byte| if cfg!(windows) && *byte == b'\\' { b'/' } else { *byte }).collect())
    }

    /// A path relative to a directory if it is below it; the directory itself is `.`.
    pub(crate) fn below(directory: &Path, path: &Path) -> Self {
        match path.strip_prefix(directory) {
            Ok(below) if below.as_os_str().is_empty() => Self::new("."),
            Ok(below) => Self::of(below),
            Err(_) => Self::of(path),
        }
    }

    /// The very bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// As text; what is not UTF-8 is U+FFFD.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// As people may be shown it: what is not UTF-8 is `\xff`.
    pub(crate) fn shown(&self) -> String {
        terminal::bytes(&self.0)
    }

    /// The line of a `.watchignore` that leaves this path out: anchored, special characters escaped, and `?` for each byte that
    /// cannot be typed.
    pub(crate) fn rule(&self) -> String {
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

    /// Its bytes in base64, if text cannot hold them.
    pub(crate) fn exact(&self) -> Option<String> {
        std::str::from_utf8(&self.0).is_err().then(|| base64(&self.0))
    }
}

/// What a key can have: a name, one that may be missing, several.
pub(crate) trait Named {
    fn is_exact(&self) -> bool;
    fn text(&self) -> Value;
    /// The same shape in base64, null for what the text says already.
    fn exact(&self) -> Value;
}

impl Named for ByteString {
    fn is_exact(&self) -> bool {
        std::str::from_utf8(&self.0).is_ok()
    }

    fn text(&self) -> Value {
        Value::String(self.text().into_owned())
    }

    fn exact(&self) -> Value {
        ByteString::exact(self).map_or(Value::Null, Value::String)
    }
}

impl Named for Option<ByteString> {
    fn is_exact(&self) -> bool {
        self.as_ref().is_none_or(Named::is_exact)
    }

    fn text(&self) -> Value {
        self.as_ref().map_or(Value::Null, Named::text)
    }

    fn exact(&self) -> Value {
        self.as_ref().map_or(Value::Null, Named::exact)
    }
}

impl Named for Vec<ByteString> {
    fn is_exact(&self) -> bool {
        self.iter().all(Named::is_exact)
    }

    fn text(&self) -> Value {
        self.iter().map(Named::text).collect()
    }

    fn exact(&self) -> Value {
        self.iter().map(Named::exact).collect()
    }
}

/// An object with one more key, or two.
pub(crate) fn with(mut object: Value, key: &str, name: &impl Named) -> Value {
    if let Value::Object(fields) = &mut object {
        fields.insert(key.to_owned(), name.text());
        if !name.is_exact() {
            fields.insert(format!("{key}_b64"), name.exact());
        }
    }
    object
}

/// One function a key, for `#[serde(flatten, serialize_with = "…")]`.
macro_rules! keys {
    ($($key:ident),*) => {$(
        pub(crate) fn $key<N: Named, S: Serializer>(name: &N, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(None)?;
            map.serialize_entry(stringify!($key), &name.text())?;
            if !name.is_exact() {
                map.serialize_entry(concat!(stringify!($key), "_b64"), &name.exact())?;
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
