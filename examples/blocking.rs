//! A session for a program without async code: a thread runs the session and passes its events to a channel of std.
//!
//! ```console
//! $ cargo run --example blocking -- python3 -m http.server
//! ```
#![allow(clippy::print_stdout)]

use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

use devrun::session::Handle;
use devrun::supervise::Request;
use devrun::{Command, Error, Event, Options, Session};

/// A session on a thread of its own.
struct BlockingSession {
    /// Sends requests. It works from any thread.
    handle: Handle,
    events: Receiver<Event>,
    thread: JoinHandle<()>,
}

impl BlockingSession {
    fn start(options: Options) -> Result<Self, Box<dyn std::error::Error>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (sender, events) = channel();
        let (started, result) = channel::<Result<Handle, Error>>();
        let run = async move {
            match Session::start(options).await {
                Err(error) => _ = started.send(Err(error)),
                Ok(mut session) => {
                    _ = started.send(Ok(session.handle()));
                    while let Some(event) = session.next_event().await {
                        _ = sender.send(event);
                    }
                }
            }
        };
        let thread =
            std::thread::Builder::new().name("devrun".into()).spawn(move || runtime.block_on(run))?;
        Ok(Self { handle: result.recv()??, events, thread })
    }

    /// Stops the session and waits until no process of the command lives.
    fn stop(self) -> std::thread::Result<()> {
        self.handle.send(Request::Stop);
        self.events.iter().for_each(|event| println!("{event:?}"));
        self.thread.join()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args_os().skip(1);
    let program = words.next().ok_or("usage: blocking COMMAND [ARGS]...")?;
    let session = BlockingSession::start(Options::new(Command::new(program).args(words)))?;
    println!("Enter restarts the command, Ctrl-D ends this program");
    for line in std::io::stdin().lines() {
        line?;
        session.events.try_iter().for_each(|event| println!("{event:?}"));
        session.handle.send(Request::Restart);
    }
    session.stop().map_err(|_| "the session's thread has panicked".into())
}
