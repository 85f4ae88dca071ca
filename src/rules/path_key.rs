//! Paths as bytes, the form in which rules compare them.
//!
//! The key of an absolute path is its bytes without a final slash. The key of the root directory is empty.

use std::ffi::OsStr;
use std::hash::Hasher;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

/// The key of an absolute path.
pub(crate) fn of(path: &Path) -> &[u8] {
    let bytes = path.as_os_str().as_bytes();
    bytes.strip_suffix(b"/").unwrap_or(bytes)
}

/// Splits a key into the key of the parent directory and the last component. `None` for the root directory,
/// and for a last component that is `.`, `..` or empty: such a path needs [`clean`].
pub(crate) fn split(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let slash = key.iter().rposition(|byte| *byte == b'/')?;
    let name = &key[slash + 1..];
    (!matches!(name, b"" | b"." | b"..")).then_some((&key[..slash], name))
}

/// Whether no component of a key is `.`, `..` or empty.
pub(crate) fn is_clean(key: &[u8]) -> bool {
    key.split(|byte| *byte == b'/').skip(1).all(|name| !matches!(name, b"" | b"." | b".."))
}

/// Removes `.`, `..` and repeated slashes by text alone, without following links.
pub(crate) fn clean(path: &Path) -> PathBuf {
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

/// A path from the bytes of a rule or of git's output.
pub(crate) fn path_from(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// A fast hash for keys, which are long and looked up for every path. It does not resist chosen keys: a
/// directory with colliding names is slow, and nothing worse.
#[derive(Debug, Default)]
pub(crate) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxhash_rust::xxh3::xxh3_64_with_seed(bytes, self.0);
    }

    fn write_usize(&mut self, number: usize) {
        self.0 = self.0.rotate_left(5) ^ number as u64;
    }
}
