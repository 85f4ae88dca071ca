//! Paths as bytes: the form in which rules see them, with `/` between components on every platform.

use std::borrow::Cow;
use std::path::{Component, Path, PathBuf};

/// The bytes of an absolute path without a final slash; the root directory is empty.
pub(super) fn of(path: &Path) -> Cow<'_, [u8]> {
    let bytes = path.as_os_str().as_encoded_bytes();
    let bytes = bytes.strip_suffix(b"/").unwrap_or(bytes);
    if cfg!(windows) && bytes.contains(&b'\\') {
        let slash = |byte: &u8| if *byte == b'\\' { b'/' } else { *byte };
        let bytes: Vec<u8> = bytes.iter().map(slash).collect();
        return Cow::Owned(bytes.strip_suffix(b"/").map(<[u8]>::to_vec).unwrap_or(bytes));
    }
    Cow::Borrowed(bytes)
}

/// The key of the directory and the last component; `None` for the root, and for a last component that
/// is none (`.`, `..`, nothing), which a path that needs [`clean`] may have.
pub(super) fn split(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let slash = key.iter().rposition(|byte| *byte == b'/')?;
    let name = &key[slash + 1..];
    (!matches!(name, b"" | b"." | b"..")).then_some((&key[..slash], name))
}

/// A path from bytes, as they stand in a rule or come from git.
pub(super) fn to_path(bytes: &[u8]) -> PathBuf {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt as _;
        PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
    }
    #[cfg(not(unix))]
    {
        PathBuf::from(String::from_utf8_lossy(bytes).into_owned())
    }
}

/// Whether a key has components that no clean path has.
pub(super) fn is_clean(key: &[u8]) -> bool {
    key.split(|byte| *byte == b'/').skip(1).all(|name| !matches!(name, b"" | b"." | b".."))
}

/// Takes out `.`, `..` and doubled slashes, by text alone: links are not followed.
pub(super) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    clean
}
