//! The supervisor without a watch: starts a child, restarts it once on request, and stops it with its whole
//! process tree.
//!
//! ```console
//! $ cargo run --example supervise_only
//! ```
#![allow(clippy::print_stdout)]

use devrun::supervise::{Command, Event, Options, Phase, Request, Supervisor};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut supervisor = Supervisor::start(Options::new(Command::new("sleep").arg("1000")))?;
    let handle = supervisor.handle();
    while let Some(event) = supervisor.next_event().await {
        match event {
            Event::Phase { generation, phase } => {
                println!("generation {generation}: {phase:?}");
                if matches!(phase, Phase::Ready { .. }) {
                    handle.send(if generation.number() == 1 { Request::Restart } else { Request::Stop });
                }
            }
            Event::Ended(exit) => println!("ended: {exit:?}"),
            _ => {}
        }
    }
    Ok(())
}
