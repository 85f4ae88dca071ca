//! Names as JSON. A name need not be UTF-8, and JSON is (docs/reference/json.md).

use std::borrow::Cow;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::{Serialize, Serializer};

/// A key with a name, and a second key with the bytes if they are not UTF-8. `None` is null.
pub(super) struct Name<'a>(pub &'static str, pub Option<&'a [u8]>);

impl Serialize for Name<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(key, name) = *self;
        let base64 = name.and_then(base64);
        let bytes = base64.map(|base64| (format!("{key}_b64"), Some(Cow::Owned(base64))));
        serializer.collect_map([(key.to_owned(), name.map(String::from_utf8_lossy))].into_iter().chain(bytes))
    }
}

/// A key with a list of names, and a second key with a list of their bytes if one is not UTF-8, with null for each that is.
pub(super) struct NameList<'a>(pub &'static str, pub Vec<&'a [u8]>);

impl Serialize for NameList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(key, names) = self;
        let texts = names.iter().map(|name| Some(String::from_utf8_lossy(name))).collect();
        let base64: Vec<_> = names.iter().map(|name| base64(name).map(Cow::Owned)).collect();
        let has_base64 = base64.iter().any(Option::is_some);
        let bytes = has_base64.then(|| (format!("{key}_b64"), base64));
        serializer.collect_map(std::iter::once(((*key).to_owned(), texts)).chain(bytes))
    }
}

/// The bytes in base64, unless they are UTF-8.
fn base64(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).is_err().then(|| BASE64_STANDARD.encode(bytes))
}
