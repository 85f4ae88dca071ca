//! Paths in options: which are paths at all, and which lie in a root.

use std::path::{Component, Path, PathBuf};

/// Whether the value of `--ignore-file` is a path. Without `/` it is a name that devrun reads in every directory.
pub(crate) fn is_path(file: &Path) -> bool {
    file.as_os_str().as_encoded_bytes().contains(&b'/')
}

/// Whether a path lies in a root. Resolves links only if the path as written does not tell.
pub(crate) fn is_below(path: &Path, roots: &[PathBuf]) -> bool {
    let below = |path: &Path| roots.iter().any(|root| path.starts_with(root));
    let is_plain = !path.components().any(|part| part == Component::ParentDir);
    (is_plain && below(path)) || below(&resolved(path))
}

/// The path without `..` and without links above its last name, which is the form in which the watch reports paths.
/// Parts that do not exist stay as they are.
pub(crate) fn resolved(path: &Path) -> PathBuf {
    if path.components().next_back() == Some(Component::ParentDir) {
        return path.canonicalize().unwrap_or_else(|_| path.to_owned());
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => match parent.canonicalize() {
            Ok(parent) => parent.join(name),
            Err(_) => resolved(parent).join(name),
        },
        _ => path.to_owned(),
    }
}
