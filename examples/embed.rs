//! A whole session in your own program: it watches `src`, runs a command and prints the events.
//!
//! ```console
//! $ cargo run --example embed -- python3 -m http.server
//! ```
#![allow(clippy::print_stdout)]

use devrun::{Command, Event, Options, Session, supervise};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args_os().skip(1);
    let program = words.next().ok_or("usage: embed COMMAND [ARGS]...")?;
    let mut options = Options::new(Command::new(program).args(words));
    options.watch.roots = vec!["src".into()];

    let mut session = Session::start(options).await?;
    let handle = session.handle();
    // The library installs no signal handler, so your program decides about Ctrl-C.
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            handle.send(supervise::Request::Stop);
        }
    });
    while let Some(event) = session.next_event().await {
        match event {
            Event::Watching(summary) => println!("watching {} files", summary.files),
            Event::Child(supervise::Event::Restarting { because: Some(batch), .. }) => {
                for change in &batch.changes {
                    println!("{} {}", change.path.display(), change.kind);
                }
            }
            Event::Child(supervise::Event::Phase { generation, phase }) => {
                println!("{generation}: {phase:?}")
            }
            Event::Ended(exit) => println!("ended: {exit:?}"),
            _ => {}
        }
    }
    Ok(())
}
