//! Bytes and paths as JSON text.

use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::{Deserialize, Serialize};

/// Bytes as text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Bytes {
    /// The text.
    pub text: String,
    /// The exact bytes, if they are not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_b64: Option<String>,
}

impl Bytes {
    /// Text, and base64 if it is not UTF-8.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let (text, text_b64) = text_and_base64(bytes);
        Self { text, text_b64 }
    }

    /// The exact bytes. If the base64 is invalid, the bytes of the text.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let exact = self.text_b64.as_ref().and_then(|base64| BASE64_STANDARD.decode(base64).ok());
        exact.unwrap_or_else(|| self.text.as_bytes().to_vec())
    }
}

/// The text of bytes, and their base64 if they are not UTF-8.
fn text_and_base64(bytes: &[u8]) -> (String, Option<String>) {
    let base64 = std::str::from_utf8(bytes).is_err().then(|| BASE64_STANDARD.encode(bytes));
    (String::from_utf8_lossy(bytes).into_owned(), base64)
}

/// The text of a path, and its base64 if it is not UTF-8.
pub(in crate::control) fn path_text(path: &Path) -> (String, Option<String>) {
    text_and_base64(path.as_os_str().as_encoded_bytes())
}

/// The path of a text, and of its base64 if it is not UTF-8.
pub(super) fn path(text: &str, base64: Option<&str>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt as _;
    let exact = base64.and_then(|base64| BASE64_STANDARD.decode(base64).ok());
    exact.map_or_else(|| text.into(), |bytes| std::ffi::OsString::from_vec(bytes).into())
}
