//! The code blocks and the code spans of the pages.

use std::path::{Path, PathBuf};

/// The pages for users, with their names.
pub(crate) fn pages() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"].map(|name| root.join(name)).into();
    for dir in ["docs", "docs/reference"] {
        let entries = std::fs::read_dir(root.join(dir)).into_iter().flatten().flatten();
        files.extend(
            entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "md")),
        );
    }
    // The published package does not contain CONTRIBUTING.md and SECURITY.md.
    files.retain(|file| file.exists());
    files.sort();
    files.into_iter().map(|file| (file.clone(), std::fs::read_to_string(file).unwrap())).collect()
}

/// The blocks of a page in one language.
pub(crate) fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let start = format!("```{language}\n");
    page.split(start.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// The code spans of a page's tables and sentences.
pub(crate) fn spans(page: &str) -> Vec<String> {
    let mut in_block = false;
    let mut spans = Vec::new();
    for line in page.lines() {
        in_block ^= line.starts_with("```");
        if !in_block {
            spans.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    spans
}
