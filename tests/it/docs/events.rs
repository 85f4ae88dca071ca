//! `--log-format json`: every documented event name exists, and every event is documented.

/// Compares the names in docs/reference/events.md with the names that the program can write.
#[test]
fn the_page_names_every_event_and_no_other() {
    let page = include_str!("../../../docs/reference/events.md");
    let source = include_str!("../../../src/bin/devrun/report/record.rs");
    let documented: std::collections::BTreeSet<String> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .flat_map(|line| line.split('|').nth(1).unwrap().split(','))
        .map(|name| name.trim().trim_matches('`').to_owned())
        .filter(|name| !["v", "time", "event"].contains(&name.as_str()))
        .collect();
    let body = source.split("pub(crate) enum Record {").nth(1).unwrap();
    let written: std::collections::BTreeSet<String> = body
        .lines()
        .take_while(|line| *line != "}")
        .filter(|line| line.starts_with("    ") && line.trim_start().starts_with(char::is_uppercase))
        .map(|line| kebab(line.trim().split([' ', ',', '(']).next().unwrap()))
        .collect();
    assert_eq!(documented, written);
}

fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.extend(letter.to_lowercase());
    }
    kebab
}
