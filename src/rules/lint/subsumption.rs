//! Whether one pattern matches everything that another one matches, where that can be proven.

use crate::rules::pattern::{Case, Glob, Matcher, Pattern, Target};

/// Whether `wide` provably matches everything that `narrow` matches. Both are in the same file.
pub(super) fn subsumes(wide: &Pattern, narrow: &Pattern, case: Case) -> bool {
    if wide.is_dir_only() && !narrow.is_dir_only() {
        return false;
    }
    let narrow_is_path = narrow.target() == Target::Path;
    match (wide.target(), wide.matcher(), narrow.matcher()) {
        (_, Matcher::Never(_), _) | (_, _, Matcher::Never(_)) => false,
        (Target::FileName, _, Matcher::Literal(text)) => wide.matches_text(last_component(text), case),
        (Target::Path, _, Matcher::Literal(text)) => narrow_is_path && wide.matches_text(text, case),
        (Target::FileName, Matcher::Literal(name), Matcher::Glob(glob)) => {
            narrow_is_path && glob.suffix().contains(&b'/') && last_component(glob.suffix()) == &**name
        }
        (Target::Path, Matcher::Literal(_), Matcher::Glob(_)) => false,
        (Target::FileName, Matcher::Glob(wide), Matcher::Glob(narrow)) => {
            wide == narrow && !narrow_is_path
                || wide.is_single_star() && star_subsumes(wide, narrow, narrow_is_path)
        }
        (Target::Path, Matcher::Glob(wide), Matcher::Glob(narrow)) => {
            let is_below = wide.matches_all_below_prefix() && narrow.prefix().starts_with(wide.prefix());
            narrow_is_path && (wide == narrow || is_below)
        }
    }
}

/// Whether a file-name glob with a single star subsumes a glob: the ends of `wide` must be ends of `narrow`.
fn star_subsumes(wide: &Glob, narrow: &Glob, narrow_is_path: bool) -> bool {
    let prefix_fits =
        if narrow_is_path { wide.prefix().is_empty() } else { narrow.prefix().starts_with(wide.prefix()) };
    prefix_fits && last_component(narrow.suffix()).ends_with(wide.suffix())
}

fn last_component(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsumption_is_found_where_it_can_be_proven() {
        let subsumed = |wide: &str, narrow: &str| {
            let parse = |text: &str| Pattern::parse(text.as_bytes(), Case::Sensitive);
            subsumes(&parse(wide), &parse(narrow), Case::Sensitive)
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
            assert!(subsumed(wide, narrow), "{wide} subsumes {narrow}");
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
            assert!(!subsumed(wide, narrow), "{wide} does not subsume {narrow}");
        }
    }
}
