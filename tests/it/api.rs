//! The public API, compared with a listing: the exported items without bodies and private parts.
//!
//! `SNAPSHOTS=overwrite cargo test --test it -- api` writes `tests/cases/api.txt` again. A change of the API
//! needs a line in CHANGELOG.md. The reader expects the format of rustfmt: the first and the last line of an
//! item have no indentation.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn read(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.split("#[cfg(test)]\nmod ").next().unwrap_or_default().to_owned()
}

/// The file of a module: `NAME.rs` or `NAME/mod.rs`.
fn file_of(dir: &Path, name: &str) -> PathBuf {
    let below = dir.join(name).join("mod.rs");
    if below.exists() { below } else { dir.join(format!("{name}.rs")) }
}

/// The words of a text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// The names that a `mod.rs` exports, each with the file that defines it.
fn exports(door: &Path) -> Vec<(PathBuf, String)> {
    let text = read(door);
    let uses = text.split("\npub use ").skip(1).map(|rest| rest.split(';').next().unwrap());
    let mut exports = Vec::new();
    for used in uses {
        let (from, names) = used.split_once("::").unwrap();
        let file = file_of(door.parent().unwrap(), from);
        for name in words(names) {
            match file.ends_with("mod.rs") {
                true => exports.extend(self::exports(&file).into_iter().filter(|(_, known)| known == name)),
                false => exports.push((file.clone(), name.to_owned())),
            }
        }
    }
    exports
}

/// The items of a file as lines, without comments.
fn items(text: &str) -> Vec<Vec<&str>> {
    let mut items = Vec::new();
    let mut item: Vec<&str> = Vec::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//") && !line.is_empty()) {
        item.push(line);
        let margin = !line.starts_with([' ', '#']);
        if margin && line.ends_with(['}', ';']) {
            items.push(std::mem::take(&mut item));
        }
    }
    items
}

/// The public part of an item with this name, or of any public item if `name` is `None`.
fn outside(lines: &[&str], name: Option<&str>) -> Option<String> {
    let (attributes, lines): (Vec<&str>, Vec<&str>) = lines.iter().partition(|line| line.starts_with("#["));
    let head = lines.first()?;
    let is_it = |word: Option<&str>| name.is_none_or(|name| word == Some(name));
    let binding = ["#[derive", "#[non_exhaustive", "#[must_use", "#[cfg"];
    let mut shown: Vec<String> = attributes
        .iter()
        .filter(|line| binding.iter().any(|start| line.starts_with(start)))
        .map(|line| (*line).to_owned())
        .collect();
    let mut after = words(head).skip_while(|word| *word == "pub");
    match after.next()? {
        "struct" if head.starts_with("pub ") && is_it(after.next()) => shown.push(of_struct(&lines)),
        "enum" if head.starts_with("pub ") && is_it(after.next()) => shown.push(of_enum(&lines)),
        "fn" | "async" | "const"
            if head.starts_with("pub ") && is_it(words(head).skip_while(|word| *word != "fn").nth(1)) =>
        {
            shown.push(signature(&lines));
        }
        "impl" if is_it(own_type(head)) => return of_impl(&lines),
        _ => return None,
    }
    Some(shown.join("\n"))
}

/// The type that an `impl` is for.
fn own_type(head: &str) -> Option<&str> {
    let rest = head.strip_prefix("impl")?;
    let rest = if rest.starts_with('<') { rest.split_once("> ")?.1 } else { rest };
    words(rest.rsplit(" for ").next()?).next()
}

fn of_struct(lines: &[&str]) -> String {
    match lines {
        [line] if line.contains('(') && !line.contains("(pub ") => {
            format!("{}(..);", line.split('(').next().unwrap())
        }
        [line] => (*line).to_owned(),
        [head, fields @ ..] => {
            let public: Vec<&str> =
                fields.iter().copied().filter(|line| line.starts_with("    pub ")).collect();
            let more = if public.len() + 1 < fields.len() { "    ..\n" } else { "" };
            let public: String = public.iter().map(|line| format!("{line}\n")).collect();
            format!("{head}\n{public}{more}}}")
        }
        [] => String::new(),
    }
}

/// The fields of a variant are as public as the enum.
fn of_enum(lines: &[&str]) -> String {
    let shown = lines.iter().filter(|line| !line.trim_start().starts_with("#["));
    shown.copied().collect::<Vec<_>>().join("\n")
}

/// The signature of a function on one line, without the body.
fn signature(lines: &[&str]) -> String {
    let mut head = String::new();
    for line in lines {
        let joint = if head.is_empty() || head.ends_with('(') || line.trim_start().starts_with(')') {
            ""
        } else {
            " "
        };
        head = format!(
            "{}{joint}{}",
            head.trim_end_matches(if joint.is_empty() { ',' } else { ' ' }),
            line.trim()
        );
        if line.ends_with('{') || line.ends_with(';') || line.ends_with('}') {
            break;
        }
    }
    // The body and the value of a constant are cut off.
    let bare = head.split(" {").next().and_then(|head| head.split(" = ").next()).unwrap_or_default();
    format!("{};", bare.trim_end_matches(';'))
}

fn of_impl(lines: &[&str]) -> Option<String> {
    let head = lines[0].split(" {").next().unwrap_or_default();
    if head.contains(" for ") {
        return Some(format!("{head};"));
    }
    let functions =
        (0..lines.len()).filter(|at| lines[*at].starts_with("    pub ") && !lines[*at].contains("pub("));
    let functions: String = functions.map(|at| format!("    {}\n", signature(&lines[at..]))).collect();
    (!functions.is_empty()).then(|| format!("{head} {{\n{functions}}}"))
}

/// A file and the name of an exported item. `None` exports the whole file.
type Export = (PathBuf, Option<String>);

/// The public modules with their exports.
fn modules() -> Vec<(String, Vec<Export>)> {
    let mut modules = Vec::new();
    let mut waiting = vec![("devrun".to_owned(), source().join("lib.rs"))];
    while let Some((name, file)) = waiting.pop() {
        let is_door = file.ends_with("mod.rs") || file.ends_with("lib.rs");
        let text = read(&file);
        let inner = text.lines().filter(|_| is_door).filter_map(|line| line.strip_prefix("pub mod "));
        let inner = inner.map(|line| line.trim_end_matches(';'));
        let inner: Vec<_> =
            inner.map(|inner| (format!("{name}::{inner}"), file_of(file.parent().unwrap(), inner))).collect();
        let own = match is_door {
            true => exports(&file).into_iter().map(|(file, name)| (file, Some(name))).collect(),
            false => vec![(file, None)],
        };
        modules.push((name, own));
        waiting.extend(inner.into_iter().rev());
    }
    modules
}

/// Whether a line begins the definition of this name.
fn defines(line: &str, name: &str) -> bool {
    let mut words = words(line).skip_while(|word| ["pub", "async", "const"].contains(word));
    line.starts_with("pub ") && words.next().is_some() && words.next() == Some(name)
}

/// The public parts of all exports of a module, each with its file.
fn shown(exports: &[Export]) -> Vec<(PathBuf, String)> {
    let mut shown = Vec::new();
    for (file, name) in exports {
        let text = read(file);
        let items = items(&text);
        let made = |item: &Vec<&str>| item[0].ends_with("! {") && !item[0].starts_with("macro_rules");
        if !items
            .iter()
            .any(|item| item.iter().any(|line| name.as_ref().is_none_or(|name| defines(line, name))))
        {
            // A macro defines the item, so the macro call stands for it.
            shown.extend(items.iter().filter(|item| made(item)).map(|item| (file.clone(), item.join("\n"))));
        }
        shown.extend(
            items.iter().filter_map(|item| outside(item, name.as_deref())).map(|item| (file.clone(), item)),
        );
    }
    shown
}

#[test]
fn the_public_api_is_the_listed_one() {
    let mut listing = String::from("// devrun\n\n");
    for (module, exports) in modules() {
        if module == "devrun" {
            // An item that another module lists is only named here.
            for (file, name) in exports {
                if file.parent() == Some(&source()) {
                    let items = shown(&[(file, name)]).into_iter().map(|(_, item)| item + "\n\n");
                    listing.extend(items);
                    continue;
                }
                let module = file.parent().unwrap().file_name().unwrap().to_str().unwrap();
                listing.push_str(&format!("pub use devrun::{module}::{};\n", name.unwrap()));
            }
            continue;
        }
        let items: Vec<String> = shown(&exports).into_iter().map(|(_, item)| item).collect();
        listing.push_str(&format!("\n// {module}\n\n{}\n", items.join("\n\n")));
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/api.txt");
    snapbox::assert_data_eq!(listing, snapbox::Data::read_from(&file, None).raw());
}

#[test]
fn no_signature_names_a_type_of_another_crate() {
    // The feature `serde` exists for that crate's traits.
    let ours = ["std", "core", "crate", "super", "self", "serde"];
    let mut count = 0;
    for (file, item) in modules().iter().flat_map(|(_, exports)| shown(exports)) {
        let text = read(&file);
        let uses = text.split("\nuse ").skip(1).map(|rest| rest.split(';').next().unwrap().to_owned());
        let uses: Vec<String> = uses.filter(|used| !ours.contains(&words(used).next().unwrap())).collect();
        let foreign: BTreeSet<&str> = uses.iter().flat_map(|used| words(used)).collect();
        let crates =
            ["notify", "hyper", "rustix", "socket2", "tokio", "libc", "globset", "ignore", "tracing"];
        let signature: String = item.lines().filter(|line| !line.starts_with("#[")).collect();
        for word in words(&signature) {
            let is_type = word.starts_with(char::is_uppercase) && foreign.contains(word);
            let is_path = crates.iter().any(|name| *name == word && signature.contains(&format!("{name}::")));
            assert!(!is_type && !is_path, "{} exports `{word}`:\n{item}", file.display());
        }
        count += 1;
    }
    assert!(count > 50, "{count}");
}
