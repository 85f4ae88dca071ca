//! Module layers, the file that prints, and the folders with unsafe code, read from the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The modules of the library by layer. A module imports from lower layers only.
const LAYERS: [&[&str]; 5] = [
    &["change", "generation", "remedy", "sync", "sync_id", "tls"],
    &["rules"],
    &["proxy", "supervise", "watch"],
    &["session"],
    &["control"],
];

/// The file of the program that prints.
const TERMINAL: &str = "src/bin/devrun/ui/terminal.rs";

/// The folders that may hold unsafe code.
const UNSAFE_FOLDERS: [&str; 3] = ["src/supervise/os", "src/supervise/process", "src/supervise/sys"];

#[test]
fn each_file_opens_with_its_documentation() {
    for file in rust_files(&["src", "tests", "examples", "benches"]) {
        assert!(read(&file).starts_with("//! "), "{}: does not open with `//! `", file.display());
    }
}

#[test]
fn a_mod_file_holds_documentation_modules_and_reexports_only() {
    let is_mod_file = |file: &PathBuf| file.ends_with("mod.rs") || file.ends_with("lib.rs");
    for file in rust_files(&["src"]).into_iter().filter(is_mod_file) {
        for line in code(&file).lines() {
            let item =
                line.trim_start().trim_start_matches(|c: char| !c.is_whitespace() && line.starts_with("pub"));
            let keyword = item.split_whitespace().next().unwrap_or_default();
            let is_code =
                ["fn", "struct", "enum", "impl", "const", "static", "trait", "type"].contains(&keyword);
            assert!(!is_code, "{}: holds code: {line}", file.display());
        }
    }
}

#[test]
fn modules_of_the_library_import_from_lower_layers_only() {
    let layer_of = |module: &str| LAYERS.iter().position(|layer| layer.contains(&module));
    for file in Module::all(Path::new("src")) {
        let own = layer_of(&file.path[0]).unwrap_or_else(|| panic!("{}: in no layer", file.path[0]));
        for import in file.imports() {
            let Some(other) = import.first().filter(|other| **other != file.path[0]) else { continue };
            // A name that is no module is an item that lib.rs exports.
            let is_lower = layer_of(other).is_none_or(|layer| layer < own);
            assert!(is_lower, "{}: imports {}", file.source.display(), import.join("::"));
            let inner = Path::new("src").join(other).join(import.get(1).map_or("", String::as_str));
            let is_inner = import.len() > 2 && (inner.is_dir() || inner.with_extension("rs").exists());
            assert!(!is_inner, "{}: {} is not public", file.source.display(), import.join("::"));
        }
    }
}

#[test]
fn the_folders_of_a_module_import_each_other_in_one_direction() {
    for root in ["src", "src/bin/devrun"] {
        let mut edges: BTreeMap<Vec<String>, BTreeSet<Vec<String>>> = BTreeMap::new();
        for file in Module::all(Path::new(root)) {
            for import in file.imports() {
                let import = reexported(Path::new(root), import);
                let common = file.path.iter().zip(&import).take_while(|(own, other)| own == other).count();
                let folder = |path: &[String]| path.get(..=common).map(<[String]>::to_vec);
                let (Some(from), Some(to)) = (folder(&file.path), folder(&import)) else { continue };
                let is_folder = |path: &[String]| Path::new(root).join(path.join("/")).is_dir();
                if is_folder(&from) && is_folder(&to) {
                    edges.entry(from).or_default().insert(to);
                }
            }
        }
        for start in edges.keys() {
            let mut reached = BTreeSet::new();
            let mut next: Vec<_> = edges[start].iter().collect();
            while let Some(folder) = next.pop() {
                assert!(folder != start, "{root}: {} imports itself through others", start.join("::"));
                if reached.insert(folder) {
                    next.extend(edges.get(folder).into_iter().flatten());
                }
            }
        }
    }
}

#[test]
fn only_the_terminal_prints() {
    for file in rust_files(&["src"]).into_iter().filter(|file| file != Path::new(TERMINAL)) {
        // The lints `print_stdout` and `print_stderr` refuse output without this attribute.
        assert!(!read(&file).contains("clippy::print_"), "{}: allows itself to print", file.display());
    }
}

#[test]
fn unsafe_code_stands_in_few_folders_and_each_block_says_why_it_is_sound() {
    for file in rust_files(&["src", "tests", "examples", "benches"]) {
        let text = read(&file);
        let may = UNSAFE_FOLDERS.iter().any(|folder| file.starts_with(folder)) || !file.starts_with("src");
        let has = words(&code(&file)).any(|word| word == "unsafe_code");
        assert!(may || !has, "{}: unsafe code outside of {UNSAFE_FOLDERS:?}", file.display());
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let line = line.split("//").next().unwrap_or_default();
            let opens = ["{", "impl"].iter().any(|what| line.contains(&("unsafe ".to_owned() + what)));
            let explained =
                lines[number.saturating_sub(8)..=number].iter().any(|line| line.contains("SAFETY:"));
            assert!(!opens || explained, "{}:{}: no SAFETY line", file.display(), number + 1);
        }
    }
}

/// A source file other than `mod.rs`, with its module path.
struct Module {
    path: Vec<String>,
    source: PathBuf,
}

impl Module {
    /// The modules below a root folder. The program does not belong to the library.
    fn all(root: &Path) -> Vec<Self> {
        let is_other = |file: &Path| root == Path::new("src") && file.starts_with("src/bin");
        let files = rust_files(&[root.to_str().unwrap()]).into_iter();
        let files = files.filter(|file| !is_other(file) && !is_mod_file(file));
        files.map(|source| Self { path: module_path(root, &source), source }).collect()
    }

    /// The paths that the file imports, from the root of its crate.
    fn imports(&self) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        let code = code(&self.source);
        for (start, keyword) in code.match_indices("crate::").chain(code.match_indices("super::")) {
            if code[..start].ends_with(|c: char| c.is_alphanumeric() || "_:".contains(c)) {
                continue;
            }
            let base = if keyword == "crate::" { Vec::new() } else { parent(&self.path) };
            expand(&code[start + keyword.len()..], base, &mut found);
        }
        found
    }
}

fn parent(path: &[String]) -> Vec<String> {
    path[..path.len().saturating_sub(1)].to_vec()
}

/// Reads one path or group of a `use`, adds its names to `found`, and returns the rest of the text.
fn expand<'a>(mut text: &'a str, mut path: Vec<String>, found: &mut Vec<Vec<String>>) -> &'a str {
    loop {
        text = text.trim_start();
        if let Some(group) = text.strip_prefix('{') {
            text = group.trim_start();
            while !text.starts_with('}') && !text.is_empty() {
                text = expand(text, path.clone(), found);
                let end = text.find([',', '}']).unwrap_or(text.len());
                text = text[end..].trim_start_matches(',').trim_start();
            }
            return text.strip_prefix('}').unwrap_or(text);
        }
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        match &text[..end] {
            "super" => path = parent(&path),
            "self" => {}
            name => path.push(name.to_owned()),
        }
        match text[end..].strip_prefix("::") {
            Some(rest) => text = rest,
            None => {
                found.push(path);
                return &text[end..];
            }
        }
    }
}

/// The path of an item that a `mod.rs` exports.
fn reexported(root: &Path, path: Vec<String>) -> Vec<String> {
    for length in (0..path.len()).rev() {
        let (module, item) = (&path[..length], &path[length]);
        let mod_file = root.join(module.join("/")).join("mod.rs");
        if length == 0 || !mod_file.exists() {
            continue;
        }
        let code = code(&mod_file);
        let mut exports = Vec::new();
        code.match_indices("use ")
            .for_each(|(at, _)| _ = expand(&code[at + 4..], module.to_vec(), &mut exports));
        return exports.into_iter().find(|export| export.last() == Some(item)).unwrap_or(path);
    }
    path
}

fn module_path(root: &Path, file: &Path) -> Vec<String> {
    let path = file.strip_prefix(root).unwrap().with_extension("");
    path.iter().map(|name| name.to_str().unwrap().to_owned()).collect()
}

fn is_mod_file(file: &Path) -> bool {
    ["mod.rs", "lib.rs", "main.rs"].iter().any(|name| file.ends_with(name))
}

/// The text of a file without its comments and unit tests.
fn code(file: &Path) -> String {
    let text = read(file);
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default().to_owned() + "\n").collect()
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
}

fn rust_files(folders: &[&str]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut next: Vec<PathBuf> = folders.iter().map(PathBuf::from).collect();
    while let Some(folder) = next.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = folder.join(entry.unwrap().file_name());
            if path.is_dir() {
                next.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

/// Reads a source file. `cargo test` runs the tests in the package's folder.
fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[test]
fn groups_of_imports_are_read() {
    let expanded = |text: &str| {
        let mut found = Vec::new();
        expand(text, vec!["m".to_owned(), "n".to_owned()], &mut found);
        found.iter().map(|path| path.join("::")).collect::<Vec<_>>()
    };
    assert_eq!(expanded("{a, b::{self, C}, super::d as e};"), ["m::n::a", "m::n::b", "m::n::b::C", "m::d"]);
    assert_eq!(expanded("super::g();"), ["m::g"]);
}
