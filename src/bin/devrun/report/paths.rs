//! Lists of paths, short enough for a line.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::ui::{ByteString, Link, count, cut_middle, file_url};

/// Maximum number of paths that a line names. More are summed up by directory.
const MAX_NAMED_PATHS: usize = 3;
/// Maximum number of columns of a path. A longer one is cut in the middle.
const MAX_COLUMNS: usize = 60;

/// `a`, `a and b`, `a, b and c`; or `12 files in src/api and 3 files in tests`.
pub(super) fn enumerate(paths: &[ByteString]) -> String {
    let names: Vec<String> = paths.iter().map(ByteString::escaped).collect();
    if names.len() <= MAX_NAMED_PATHS {
        return join(names.iter().map(|name| cut_middle(name, MAX_COLUMNS).into_owned()).collect());
    }
    let deepest = names.iter().map(|name| name.matches('/').count()).max().unwrap_or(0);
    let mut levels = (1..=deepest).rev().map(|depth| by_directory(&names, depth));
    let directories = levels.find(|directories| directories.len() <= MAX_NAMED_PATHS);
    let mut directories = directories.unwrap_or_else(|| by_directory(&names, 1));
    let more: usize =
        directories.drain(MAX_NAMED_PATHS.min(directories.len())..).map(|(_, number)| number).sum();
    let texts = directories.iter().map(|(directory, number)| {
        format!("{} in {}", count(*number, "file"), cut_middle(directory, MAX_COLUMNS))
    });
    join(texts.chain((more > 0).then(|| format!("{more} more"))).collect())
}

/// The links of the names in such a list to the files.
pub(super) fn file_links(paths: &[ByteString], base: &Path) -> Vec<Link> {
    let named = if paths.len() <= MAX_NAMED_PATHS { paths } else { &[] };
    let link = |path: &ByteString| {
        let file = base.join(OsStr::from_bytes(path.as_bytes()));
        (cut_middle(&path.escaped(), MAX_COLUMNS).into_owned(), file_url(&file))
    };
    named.iter().map(link).collect()
}

/// The directories of the files, at most `depth` levels deep, with their numbers of files. The largest number comes
/// first.
fn by_directory(names: &[String], depth: usize) -> Vec<(&str, usize)> {
    let mut numbers = BTreeMap::new();
    for name in names {
        let parent = name.rsplit_once('/').map_or(".", |(parent, _)| parent);
        let end = parent.match_indices('/').nth(depth - 1).map_or(parent.len(), |(end, _)| end);
        // An absolute path begins with a separator.
        let directory = if end == 0 { parent } else { &parent[..end] };
        *numbers.entry(directory).or_insert(0) += 1;
    }
    let mut directories: Vec<_> = numbers.into_iter().collect();
    directories.sort_by_key(|(_, number)| Reverse(*number));
    directories
}

/// `a`, `a and b`, `a, b and c`
fn join(mut texts: Vec<String>) -> String {
    match (texts.pop(), texts.is_empty()) {
        (None, _) => String::new(),
        (Some(last), true) => last,
        (Some(last), false) => format!("{} and {last}", texts.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_summed_up_by_directory_and_a_long_path_is_cut_in_the_middle() {
        let cases = [
            ("a.py", "a.py"),
            ("a.py b/c.py", "a.py and b/c.py"),
            ("a b c", "a, b and c"),
            ("a b c d", "4 files in ."),
            ("s/a/1 s/a/2 s/b/1 t/1", "2 files in s/a, 1 file in s/b and 1 file in t"),
            ("s/a/1 s/b/1 s/c/1 s/d/1 t/1", "4 files in s and 1 file in t"),
            ("a/1 b/1 c/1 d/1 e/1 e/2", "2 files in e, 1 file in a, 1 file in b and 2 more"),
            ("/x/1 /x/2 /y/1 4", "2 files in /x, 1 file in . and 1 file in /y"),
            (
                "a/very/long/way/to/a/file/that/somebody/has/generated/in/there.py",
                "a/very/long/way/to/a/file/that…ody/has/generated/in/there.py",
            ),
        ];
        for (paths, expected) in cases {
            let paths: Vec<_> = paths.split(' ').map(ByteString::new).collect();
            assert_eq!(enumerate(&paths), expected);
        }
    }
}
