//! Whether one pattern matches all that another one matches, where that can be proven. Unproven is no.

use crate::rules::pattern::Glob;
use crate::rules::pattern::{Pattern, Shape};

/// Whether `wide` matches all that `narrow` matches; both stand in the same file.
pub(super) fn covers(wide: &Pattern, narrow: &Pattern, fold: bool) -> bool {
    if wide.dir_only && !narrow.dir_only {
        return false;
    }
    match (&wide.shape, &narrow.shape) {
        (Shape::Never(_), _) | (_, Shape::Never(_)) => false,
        (_, Shape::Literal(text)) if wide.basename => wide.matches(last_component(text), fold),
        (_, Shape::Literal(text)) => !narrow.basename && wide.matches(text, fold),
        (Shape::Literal(name), Shape::Glob(glob)) => {
            wide.basename
                && !narrow.basename
                && glob.tail.contains(&b'/')
                && last_component(&glob.tail) == &**name
        }
        (Shape::Glob(wide_glob), Shape::Glob(narrow_glob)) if wide.basename => {
            wide_glob == narrow_glob && narrow.basename
                || wide_glob.is_one_star() && name_covers(wide_glob, narrow_glob, narrow.basename)
        }
        (Shape::Glob(wide_glob), Shape::Glob(narrow_glob)) => {
            !narrow.basename
                && (wide_glob == narrow_glob
                    || wide_glob.takes_everything_below() && narrow_glob.head.starts_with(&wide_glob.head))
        }
    }
}

/// For a wide glob of one star on the last component: its ends must be ends of the narrow one.
fn name_covers(wide: &Glob, narrow: &Glob, basename: bool) -> bool {
    let head = if basename { narrow.head.starts_with(&wide.head) } else { wide.head.is_empty() };
    head && last_component(&narrow.tail).ends_with(&wide.tail)
}

fn last_component(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_proven_is() {
        let covered = |wide: &str, narrow: &str| {
            covers(&Pattern::parse(wide.as_bytes(), false), &Pattern::parse(narrow.as_bytes(), false), false)
        };
        let yes = [
            ("*", "a"),
            ("*.log", "a.log"),
            ("*.log", "/x/a.log"),
            ("*.log", "x*.log"),
            ("*.log", "x/**/*.a.log"),
            ("a", "/a"),
            ("a", "x/a"),
            ("a/", "/a/"),
            ("a", "a/"),
            ("a/**", "a/b"),
            ("a/**", "a/*.c"),
            ("a*", "ab*.c"),
            ("**/a", "a"),
            ("[ab]", "a"),
            ("a/*", "a/b"),
        ];
        for (wide, narrow) in yes {
            assert!(covered(wide, narrow), "{wide} covers {narrow}");
        }
        let no = [
            ("a/", "a"),
            ("/a", "a"),
            ("*.log", "*.lo"),
            ("a*", "x/ba"),
            ("/a*", "a*"),
            ("a/*", "a/b/c"),
            ("*.log", "*"),
            ("a/*", "a/**"),
            ("a?", "a*"),
            ("x/a", "a"),
            ("x*/", "xa"),
        ];
        for (wide, narrow) in no {
            assert!(!covered(wide, narrow), "{wide} does not cover {narrow}");
        }
    }
}
