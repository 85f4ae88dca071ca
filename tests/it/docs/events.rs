//! `--log-format json`: every documented event name exists, and every event is documented.

use std::collections::BTreeSet;

/// Compares the names in docs/reference/events.md with the names that the program can write.
#[test]
fn the_page_names_every_event_and_no_other() {
    let page = include_str!("../../../docs/reference/events.md");
    let own = [
        include_str!("../../../src/bin/devrun/report/history.rs"),
        include_str!("../../../src/bin/devrun/report/reporter.rs"),
    ]
    .concat();
    let library = include_str!("../../../src/session/event_json.rs");
    let documented: BTreeSet<&str> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .flat_map(|line| line.split('|').nth(1).unwrap().split(','))
        .map(|name| name.trim().trim_matches('`'))
        .filter(|name| !["v", "time", "event"].contains(name))
        .collect();
    // `    RulesReloaded {` in the enum of the keys is the event `rules-reloaded`.
    let variants = library.split("enum Keys").nth(1).unwrap().split("\n}").next().unwrap().lines();
    let variants = variants.filter_map(|line| line.strip_prefix("    "));
    let variants = variants.filter(|line| line.starts_with(|letter: char| letter.is_ascii_uppercase()));
    let mut written: BTreeSet<String> = variants.map(kebab_case).collect();
    // The program replaces the first by `summary`, reports the second only to its terminal, and answers a client by the
    // others.
    for own in ["ended", "suspended", "settled", "synced"] {
        assert!(written.remove(own), "{own}");
    }
    written.extend(own.split("event(\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
    let documented: BTreeSet<String> = documented.into_iter().map(str::to_owned).collect();
    assert_eq!(documented, written);
}

/// `RulesReloaded {` as `rules-reloaded`, and `Building(…)` as `building`.
fn kebab_case(variant: &str) -> String {
    let mut kebab = String::new();
    for letter in variant.chars().take_while(char::is_ascii_alphabetic) {
        if letter.is_ascii_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.push(letter.to_ascii_lowercase());
    }
    kebab
}
