//! Which module may import which, and which file may print or hold unsafe code, read from the sources themselves.
//!
//! A small reader (comments and strings taken out, words and signs kept) is enough: it sees `mod` lines and the paths
//! that begin with `crate`, `super` and `self`, which is all that the rules of ARCHITECTURE.md speak of.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The rooms, and the rooms that each may enter.
const ROOMS: &[(&str, &[&str])] = &[
    ("platform", &[]),
    ("sync", &[]),
    ("generation", &[]),
    ("remedy", &[]),
    ("change", &[]),
    ("rules", &["sync", "remedy"]),
    ("watch", &["sync", "remedy", "change", "rules"]),
    ("supervise", &["sync", "generation", "remedy", "change"]),
    ("proxy", &["sync", "generation", "remedy"]),
    ("session", &["sync", "generation", "remedy", "change", "rules", "watch", "supervise", "proxy"]),
];

/// One file per subcommand of the program; none imports another.
const SUBCOMMANDS: &[&str] = &["run", "check", "explain", "list", "init", "generate", "doctor"];

#[test]
fn each_file_says_first_what_it_owns() {
    let mut silent = Vec::new();
    for file in rust_files(&["src", "tests", "examples", "benches"]) {
        let text = read(&file);
        if !text.starts_with("//! ") {
            silent.push(file);
        }
    }
    assert!(silent.is_empty(), "these do not open with `//! `: {silent:#?}");
}

#[test]
fn doors_hold_docs_modules_and_reexports_only() {
    for file in rust_files(&["src"]) {
        if !(file.ends_with("mod.rs") || file == Path::new("src/lib.rs")) {
            continue;
        }
        for item in items(&tokens(&read(&file))) {
            let words: Vec<&str> = item.iter().map(String::as_str).collect();
            let is_door = matches!(words[..], ["mod", ..] | ["pub", "mod", ..] | ["pub", "use", ..])
                || matches!(words[..], ["pub", "(", "crate" | "super", ")", "use" | "mod", ..])
                || matches!(words[..], ["pub", "(", "in", ..] if words.contains(&"use") || words.contains(&"mod"));
            assert!(is_door, "{}: a door holds no code, but: {}", file.display(), words.join(" "));
        }
    }
}

#[test]
fn rooms_enter_only_the_rooms_they_may() {
    let tree = Tree::read(Path::new("src/lib.rs"));
    let mut wrong = Vec::new();
    for (path, file) in &tree.files {
        let Some(room) = path.first() else { continue };
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| name == room) else {
            panic!("{room} is no room that this test knows")
        };
        for used in tree.uses(path, file) {
            let Some(other) = used.first() else { continue };
            if other != room && !allowed.contains(&other.as_str()) {
                wrong.push(format!("{}: {room} must not enter {other}", file.display()));
            }
            let inner = used.get(1).is_some_and(|name| tree.has(&[other, name]));
            if other != room && inner {
                wrong.push(format!("{}: {} goes past the door of {other}", file.display(), used.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_subcommand_imports_another() {
    let tree = Tree::read(Path::new("src/bin/devrun/main.rs"));
    for (path, file) in &tree.files {
        let Some(own) = path.first().filter(|name| SUBCOMMANDS.contains(&name.as_str())) else { continue };
        for used in tree.uses(path, file) {
            let other = used.first().filter(|name| SUBCOMMANDS.contains(&name.as_str()));
            assert!(other.is_none_or(|other| other == own), "{}: imports {other:?}", file.display());
        }
    }
}

#[test]
fn only_the_terminal_prints() {
    for file in rust_files(&["src"]) {
        if file == Path::new("src/bin/devrun/ui/terminal.rs") {
            continue;
        }
        let tokens = tokens(&without_tests(&read(&file)));
        for pair in tokens.windows(2) {
            let prints = ["println", "eprintln", "print", "eprint", "dbg"].contains(&pair[0].as_str());
            assert!(!(prints && pair[1] == "!"), "{}: prints with {}!", file.display(), pair[0]);
        }
    }
}

#[test]
fn unsafe_code_stands_in_os_alone_and_says_why_it_is_sound() {
    for file in rust_files(&["src", "tests", "examples", "benches"]) {
        let text = read(&file);
        let is_used = tokens(&text).iter().any(|word| word == "unsafe");
        let in_library = file.starts_with("src");
        assert!(
            !(is_used && in_library)
                || ["os", "process", "sys"]
                    .iter()
                    .any(|dir| file.starts_with(format!("src/supervise/{dir}")))
                || file == Path::new("src/aside/os.rs"),
            "{}: unsafe code outside os",
            file.display()
        );
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let code = tokens(line);
            let opens =
                code.windows(2).any(|pair| pair[0] == "unsafe" && (pair[1] == "{" || pair[1] == "impl"));
            let above = &lines[number.saturating_sub(8)..=number];
            assert!(
                !opens || above.iter().any(|line| line.contains("SAFETY:")),
                "{}:{}: no SAFETY line above this unsafe block",
                file.display(),
                number + 1
            );
        }
    }
}

/// The modules under one root file.
struct Tree {
    /// Module path -> its file; the root itself has the empty path.
    files: BTreeMap<Vec<String>, PathBuf>,
}

impl Tree {
    fn read(root: &Path) -> Self {
        let mut tree = Self { files: BTreeMap::new() };
        tree.enter(Vec::new(), root.to_owned(), root.parent().unwrap().to_owned());
        tree.files.remove(&Vec::new());
        tree
    }

    fn enter(&mut self, path: Vec<String>, file: PathBuf, dir: PathBuf) {
        let names = modules(&tokens(&without_tests(&read(&file))));
        for name in &names {
            let mut inner = path.clone();
            inner.push(name.clone());
            let plain = dir.join(format!("{name}.rs"));
            let file = if absolute(&plain).exists() { plain } else { dir.join(name).join("mod.rs") };
            self.enter(inner, file, dir.join(name));
        }
        self.files.insert(path, file);
    }

    fn has(&self, path: &[&String]) -> bool {
        let path: Vec<String> = path.iter().map(|name| (*name).clone()).collect();
        self.files.contains_key(&path)
    }

    /// All paths a file names, as absolute module paths with whatever follows the module.
    fn uses(&self, path: &[String], file: &Path) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        let is_door = file.ends_with("mod.rs");
        if is_door {
            return found;
        }
        for relative in paths(&tokens(&without_tests(&read(file)))) {
            let mut base = path.to_vec();
            let mut rest = &relative[..];
            match rest[0].as_str() {
                "crate" => base.clear(),
                "super" => {}
                _ => continue,
            }
            if rest[0] == "crate" {
                rest = &rest[1..];
            }
            while rest.first().is_some_and(|word| word == "super") {
                base.pop();
                rest = &rest[1..];
            }
            base.extend_from_slice(rest);
            found.push(base);
        }
        found
    }
}

/// The names of the `mod NAME;` lines, in order.
fn modules(tokens: &[String]) -> Vec<String> {
    tokens
        .windows(3)
        .filter(|three| three[0] == "mod" && three[2] == ";")
        .map(|three| three[1].clone())
        .collect()
}

/// All paths that begin with `crate`, `super` or `self`, with the groups of `use` spread out.
fn paths(tokens: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let begins = matches!(tokens[at].as_str(), "crate" | "super")
            && tokens.get(at + 1).is_some_and(|sign| sign == "::")
            && (at == 0 || tokens[at - 1] != "::");
        if begins {
            at = spread(tokens, at, Vec::new(), &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// Reads one path (or group) from `at`, adds what it names to `found`, and returns where it ends.
fn spread(tokens: &[String], mut at: usize, mut prefix: Vec<String>, found: &mut Vec<Vec<String>>) -> usize {
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("{") => {
                at += 1;
                while tokens.get(at).is_some_and(|sign| sign != "}") {
                    at = spread(tokens, at, prefix.clone(), found);
                    while tokens.get(at).is_some_and(|sign| sign != "," && sign != "}") {
                        at += 1;
                    }
                    if tokens.get(at).is_some_and(|sign| sign == ",") {
                        at += 1;
                    }
                }
                return at + 1;
            }
            Some("self") => {}
            Some(word) => prefix.push(word.to_owned()),
            None => return at,
        }
        at += 1;
        if tokens.get(at).is_some_and(|sign| sign == "::") {
            at += 1;
        } else {
            found.push(prefix);
            return at;
        }
    }
}

/// The items at the top of a file, each up to its `;` or closing brace; attributes left out.
fn items(tokens: &[String]) -> Vec<Vec<String>> {
    let (mut items, mut item, mut depth) = (Vec::new(), Vec::new(), 0_usize);
    let mut at = 0;
    while at < tokens.len() {
        if depth == 0 && item.is_empty() && tokens[at] == "#" {
            at = after_attribute(tokens, at);
            continue;
        }
        match tokens[at].as_str() {
            "{" => depth += 1,
            "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        item.push(tokens[at].clone());
        let is_use = item.iter().any(|word| word == "use");
        let ends = tokens[at] == ";" || (tokens[at] == "}" && !is_use);
        if depth == 0 && ends {
            items.push(std::mem::take(&mut item));
        }
        at += 1;
    }
    items
}

fn after_attribute(tokens: &[String], mut at: usize) -> usize {
    let mut depth = 0;
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("[") => depth += 1,
            Some("]") if depth == 1 => return at + 1,
            Some("]") => depth -= 1,
            Some(_) => {}
            None => return at,
        }
        at += 1;
    }
}

/// The words and signs of a source text, without comments, strings and characters; `::` is one sign.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = string_length(rest) {
            length
        } else if first.is_alphabetic() || first == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(rest[..length].to_owned());
            length
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() {
                tokens.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

/// The length of the string or character literal that `text` begins with.
fn string_length(text: &str) -> Option<usize> {
    let start = text.trim_start_matches(['b', 'c', 'r']);
    let prefix = text.len() - start.len();
    if prefix > 2 {
        return None;
    }
    let hashes = start.len() - start.trim_start_matches('#').len();
    if text[..prefix].contains('r') && start[hashes..].starts_with('"') {
        let end = format!("\"{}", "#".repeat(hashes));
        let opened = hashes + 1;
        let close = start[opened..].find(&end).map_or(start.len(), |at| opened + at + end.len());
        return Some(prefix + close);
    }
    if start.starts_with('"') {
        return Some(prefix + quoted_length(start, '"'));
    }
    // A lifetime has no closing quote after one character.
    let is_character = start.starts_with("'\\") || start.chars().nth(2) == Some('\'');
    (start.starts_with('\'') && is_character && prefix <= 1).then(|| prefix + quoted_length(start, '\''))
}

fn quoted_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A file's text up to its unit tests, which stand last and may use what they want.
fn without_tests(text: &str) -> String {
    text.split("#[cfg(test)]\nmod ").next().unwrap_or_default().to_owned()
}

fn rust_files(dirs: &[&str]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for dir in dirs {
        collect(Path::new(dir), &mut files);
    }
    assert!(!files.is_empty());
    files.sort();
    files
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(absolute(dir)) else { return };
    for entry in entries {
        let path = dir.join(entry.unwrap().file_name());
        if absolute(&path).is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(absolute(file)).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn absolute(path: &Path) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn the_reader_understands_what_it_must() {
    let words = |text| tokens(text).join(" ");
    assert_eq!(words("a /* b */ \"c\\\"\" 'd' '\\'' r#\"e\"#.f::<'g> // h"), "a . f :: < ' g >");
    let named = |text| paths(&tokens(text)).iter().map(|path| path.join("::")).collect::<Vec<_>>();
    assert_eq!(
        named("use crate::{a, b::{self, C}}; use super::d as e; f(super::super::g());"),
        ["crate::a", "crate::b", "crate::b::C", "super::d", "super::super::g"]
    );
    let item = |text| items(&tokens(text)).len();
    assert_eq!(item("#[cfg(unix)] mod a; pub use b::{C, D}; fn e() { f(); }"), 3);
}
