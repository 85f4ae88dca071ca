//! The commands in the blocks, tables and sentences of the pages.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::docs::blocks::{blocks, pages, spans};

/// Splits a line into words as a shell does, with single and double quotes.
pub(crate) fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => word.get_or_insert_default().push(c),
            None if c == '\'' || c == '"' => {
                word.get_or_insert_default();
                quote = Some(c);
            }
            None if c.is_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// The command lines of the pages with these file names, each once, with its page.
pub(crate) fn commands(pages_named: &[&str]) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    for (file, page) in pages() {
        if pages_named.iter().any(|name| file.ends_with(name)) {
            let lines = console(&page).into_iter().chain(sentences(&page)).chain(examples(&page));
            for line in
                lines.chain(workflows(&page)).chain(blocks(&page, "dockerfile").into_iter().map(entry_point))
            {
                found.entry(line).or_insert_with(|| file.clone());
            }
        }
    }
    found
}

/// The `$ ` lines of console blocks.
fn console(page: &str) -> Vec<String> {
    let lines = blocks(page, "console").into_iter().flat_map(str::lines);
    lines.filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned).collect()
}

/// The code spans that are complete commands, without an ellipsis and without a placeholder in capitals.
fn sentences(page: &str) -> Vec<String> {
    let is_command = |line: &String| {
        line.starts_with("devrun ") || line.contains("| devrun ") || line == "exec devrun check"
    };
    let is_whole =
        |line: &String| !line.contains('…') && !line.split(' ').any(|word| matches!(word, "PATH" | "SHELL"));
    spans(page).into_iter().filter(|line| is_command(line) && is_whole(line)).collect()
}

/// The examples of the reference. The examples of single options are code spans.
fn examples(page: &str) -> Vec<String> {
    let lines = page.lines().filter_map(|line| line.strip_prefix("Example: "));
    lines.filter(|line| !line.starts_with('`')).map(str::to_owned).collect()
}

/// The commands that a workflow or a hook runs.
fn workflows(page: &str) -> Vec<String> {
    let lines = blocks(page, "yaml").into_iter().flat_map(str::lines);
    let lines = lines.map(|line| line.trim_start().trim_start_matches("- "));
    lines
        .filter_map(|line| line.strip_prefix("run: ").or_else(|| line.strip_prefix("entry: ")))
        .map(str::to_owned)
        .collect()
}

/// The command of a container: the words of ENTRYPOINT, then the words of CMD.
fn entry_point(block: &str) -> String {
    let lists = block.lines().filter_map(|line| line.split_once(' ').filter(|(word, _)| *word != "COPY"));
    let words: Vec<String> =
        lists.flat_map(|(_, list)| serde_json::from_str::<Vec<String>>(list).unwrap()).collect();
    words.join(" ")
}
