//! `--log-format json`: every documented event name exists, and every event is documented.

use std::collections::BTreeSet;

/// Compares the names in docs/reference/events.md with the names that the program can write.
#[test]
fn the_page_names_every_event_and_no_other() {
    let page = include_str!("../../../docs/reference/events.md");
    let sources = [
        include_str!("../../../src/bin/devrun/report/history.rs"),
        include_str!("../../../src/bin/devrun/report/record.rs"),
        include_str!("../../../src/bin/devrun/report/reporter.rs"),
    ]
    .concat();
    let documented: BTreeSet<&str> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .flat_map(|line| line.split('|').nth(1).unwrap().split(','))
        .map(|name| name.trim().trim_matches('`'))
        .filter(|name| !["v", "time", "event"].contains(name))
        .collect();
    let written: BTreeSet<&str> = ["event(\"", "keys(\""]
        .into_iter()
        .flat_map(|call| sources.split(call).skip(1))
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert_eq!(documented, written);
}
