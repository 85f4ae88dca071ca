//! Operations on paths as byte strings.
//!
//! Every path of the watch module is absolute and normalized: no `.`, no `..`, no repeated slash. So bytes
//! can be hashed and compared directly. `Path` compares component by component, which costs several times as
//! much.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Set of paths. Look up with [`Path::as_os_str`].
pub(crate) type PathSet = HashSet<OsString>;

/// Map with paths as keys. Look up with [`Path::as_os_str`].
pub(crate) type PathMap<T> = HashMap<OsString, T>;

/// Splits a path into its directory and its last component; `None` for `/`.
pub(crate) fn split(path: &Path) -> Option<(&Path, &OsStr)> {
    let bytes = path.as_os_str().as_bytes();
    let slash = bytes.iter().rposition(|byte| *byte == b'/')?;
    let (dir, name) = (&bytes[..slash.max(1)], &bytes[slash + 1..]);
    (!name.is_empty()).then(|| (Path::new(OsStr::from_bytes(dir)), OsStr::from_bytes(name)))
}

/// Whether `path` is `dir` or lies below it.
pub(crate) fn starts_with(path: &Path, dir: &Path) -> bool {
    let rest = path.as_os_str().as_bytes().strip_prefix(dir.as_os_str().as_bytes());
    rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/' || dir.as_os_str() == "/")
}

/// Compares as `Path` does: the entries of a directory follow the directory itself.
pub(crate) fn order(one: &OsStr, other: &OsStr) -> Ordering {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    match one.iter().zip(other).find(|(one, other)| one != other) {
        Some((b'/', _)) => Ordering::Less,
        Some((_, b'/')) => Ordering::Greater,
        Some((one, other)) => one.cmp(other),
        None => one.len().cmp(&other.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATHS: [&str; 12] =
        ["/", "/a", "/a b", "/a b/c", "/a/b", "/a/b/c", "/a/b.c", "/a-", "/a.b", "/a0", "/b", "/ä/ö"];

    #[test]
    fn byte_operations_agree_with_path_operations() {
        for one in PATHS.map(Path::new) {
            assert_eq!(split(one), one.parent().zip(one.file_name()));
            for other in PATHS.map(Path::new) {
                assert_eq!(order(one.as_os_str(), other.as_os_str()), one.cmp(other), "{one:?} {other:?}");
                assert_eq!(starts_with(one, other), one.starts_with(other), "{one:?} {other:?}");
            }
        }
    }
}
