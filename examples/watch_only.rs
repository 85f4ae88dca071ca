//! The watch without a supervisor: prints each real change below the working directory.
//!
//! ```console
//! $ cargo run --example watch_only
//! ```
#![allow(clippy::print_stdout)]

use devrun::{rules, watch};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rules = rules::Options::new(std::env::current_dir()?);
    let mut watch = watch::Watch::start(watch::Options::new(rules)).await?;
    let summary = watch.summary();
    println!("watching {} files in {} directories", summary.files, summary.directories);
    while let Some(event) = watch.next_event().await {
        match event {
            watch::Event::Changed(batch) => {
                for change in batch.changes {
                    println!("{} {}", change.path.display(), change.kind);
                }
            }
            watch::Event::Warning { message, remedy } => println!("{message}; {remedy}"),
            _ => {}
        }
    }
    Ok(())
}
