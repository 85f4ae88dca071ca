//! The rules without a watch: prints whether each path counts, and the line of the rule file that decides.
//!
//! ```console
//! $ cargo run --example rules_only -- src/lib.rs downloads/boq.zip target/
//! ```
#![allow(clippy::print_stdout)]

use devrun::rules::{EntryKind, Options, Rules};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let base = std::env::current_dir()?;
    let rules = Rules::new(Options::new(&base))?;
    for word in std::env::args().skip(1) {
        let path = base.join(&word);
        let verdict = rules.verdict(&path, EntryKind::of_path(&path));
        let word_for = if verdict.is_ignored() { "ignored" } else { "watched" };
        match &verdict.by {
            Some(rule) => {
                let pattern = String::from_utf8_lossy(&rule.pattern);
                println!("{word}: {word_for}, by {pattern:?} ({}, line {})", rule.layer, rule.line);
            }
            None => println!("{word}: {word_for}"),
        }
    }
    Ok(())
}
